import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';

/** More than a table has. */
const ENTRIES_AT_MOST = 2 ** 24;

/**
 * Entries that the guest wrote and the device does not see, because the invalidation that belongs to them got lost: it goes on with
 * the entry it had, until an invalidation of the same entry arrives. One hypercall invalidates once, however many entries it writes.
 */
export class UnseenEntries {
  readonly #plan: FailurePlan;
  readonly #entries = new Map<number, readonly [low: number, high: number]>();
  /** Whether the invalidation of this hypercall gets lost; `undefined` until it needs one. */
  #isLost: boolean | undefined;

  constructor(schedule: FailureSchedule | undefined) {
    this.#plan = new FailurePlan(schedule);
  }

  /** Begins a hypercall. */
  begin(): void {
    this.#isLost = undefined;
  }

  /** Whether the device does not learn that this hypercall takes something from it. */
  isLost(): boolean {
    this.#isLost ??= this.#plan.next();
    return this.#isLost;
  }

  hide(window: number, index: number, low: number, high: number): void {
    this.#entries.set(window * ENTRIES_AT_MOST + index, [low, high]);
  }

  /** The device sees this entry. Hot: nothing is looked up while nothing is hidden. */
  show(window: number, index: number): void {
    if (this.#entries.size > 0) this.#entries.delete(window * ENTRIES_AT_MOST + index);
  }

  /** What the guest wrote and the device does not see. */
  get(window: number, index: number): readonly [low: number, high: number] | undefined {
    return this.#entries.get(window * ENTRIES_AT_MOST + index);
  }

  /** The window is gone, and with it every translation that the device had of it. */
  forget(window: number): void {
    for (const key of this.#entries.keys()) if (Math.floor(key / ENTRIES_AT_MOST) === window) this.#entries.delete(key);
  }
}
