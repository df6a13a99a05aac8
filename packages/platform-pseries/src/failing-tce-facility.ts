import { FailurePlan } from '@virtio-platform/core/failure';
import type { PseriesFailures } from './pseries-failures.ts';
import { RTAS_HARDWARE_ERROR, type DmaWindow, type TceFacility, type WindowQuery } from './tce-facility.ts';

/**
 * Injects failures into hypercalls and window calls. A failing hypercall on a list performs the first half
 * of the list, as real ones do. All other calls go to the inner facility. Hot: no allocation.
 */
export class FailingTceFacility implements TceFacility {
  readonly resetWindows?: () => number;
  readonly #inner: TceFacility;
  readonly #hypercall: FailurePlan;
  readonly #result: number;
  readonly #window: FailurePlan;

  constructor(inner: TceFacility, { hypercall, window }: Pick<PseriesFailures, 'hypercall' | 'window'>) {
    this.#inner = inner;
    this.#hypercall = new FailurePlan(hypercall);
    this.#result = hypercall.result;
    this.#window = new FailurePlan(window);
    if (inner.resetWindows === undefined) return;
    this.resetWindows = () => (this.#window.next() ? RTAS_HARDWARE_ERROR : inner.resetWindows!());
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    const plans = { hypercalls: this.#hypercall, 'window calls': this.#window };
    return { ...FailurePlan.failed(plans), ...this.#inner.failed };
  }

  get multiTce(): boolean | undefined {
    return this.#inner.multiTce;
  }

  get defaultWindow(): DmaWindow {
    return this.#inner.defaultWindow;
  }

  putTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number): number {
    return this.#hypercall.next() ? this.#result : this.#inner.putTce(liobn, iobaLow, iobaHigh, tceLow, tceHigh);
  }

  putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number {
    if (!this.#hypercall.next()) return this.#inner.putTceIndirect(liobn, iobaLow, iobaHigh, list, count);
    if (count > 1) this.#inner.putTceIndirect(liobn, iobaLow, iobaHigh, list, count >>> 1);
    return this.#result;
  }

  stuffTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number, count: number): number {
    if (!this.#hypercall.next()) return this.#inner.stuffTce(liobn, iobaLow, iobaHigh, tceLow, tceHigh, count);
    if (count > 1) this.#inner.stuffTce(liobn, iobaLow, iobaHigh, tceLow, tceHigh, count >>> 1);
    return this.#result;
  }

  /** Never fails: a read changes nothing, so its failure would test nothing. */
  getTce(liobn: number, iobaLow: number, iobaHigh: number, words: Uint32Array): number {
    return this.#inner.getTce(liobn, iobaLow, iobaHigh, words);
  }

  queryWindows(): WindowQuery {
    if (!this.#window.next()) return this.#inner.queryWindows();
    return { status: RTAS_HARDWARE_ERROR, available: 0, maxEntries: 0, pageShifts: [] };
  }

  createWindow(pageShift: number, windowShift: number): { readonly status: number; readonly window?: DmaWindow } {
    return this.#window.next() ? { status: RTAS_HARDWARE_ERROR } : this.#inner.createWindow(pageShift, windowShift);
  }

  removeWindow(liobn: number): number {
    return this.#window.next() ? RTAS_HARDWARE_ERROR : this.#inner.removeWindow(liobn);
  }
}
