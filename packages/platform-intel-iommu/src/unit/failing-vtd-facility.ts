import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import { readCapabilities } from './vtd-capabilities.ts';
import type { VtdFacility } from './vtd-facility.ts';
import { GLOBAL, GRANULARITY_MASK, IOTLB_INVALIDATE, IOTLB_REQUEST_SHIFT } from './vtd-registers.ts';
/**
 * Loses some invalidations of pages and domains: the command does not reach the unit, and the register reads that
 * nothing was invalidated. So the unit keeps using its cached translations. Global invalidations always pass, because
 * the start of a unit needs one. Hot: no allocation.
 */
export class FailingVtdFacility implements VtdFacility {
  readonly #inner: VtdFacility;
  readonly #plan: FailurePlan;
  /** Offset of the command register, read from the capabilities at the first use. */
  #iotlb: number | undefined;
  /** Whether the last command was lost, so that the register reads as 0. */
  #isLost = false;

  constructor(inner: VtdFacility, schedule: FailureSchedule) {
    this.#inner = inner;
    this.#plan = new FailurePlan(schedule);
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ invalidations: this.#plan });
  }

  get sourceId(): number {
    return this.#inner.sourceId;
  }

  read32(offset: number): number {
    return this.#inner.read32(offset);
  }

  write32(offset: number, value: number): void {
    this.#inner.write32(offset, value);
  }

  read64(offset: number, words: Uint32Array): void {
    if (this.#isLost && offset === this.#iotlb) words.fill(0, 0, 2);
    else this.#inner.read64(offset, words);
  }

  write64(offset: number, low: number, high: number): void {
    this.#iotlb ??= readCapabilities(this.#inner).iotlb;
    if (offset === this.#iotlb && high >= IOTLB_INVALIDATE) {
      const granularity = (high >>> IOTLB_REQUEST_SHIFT) & GRANULARITY_MASK;
      this.#isLost = granularity !== GLOBAL && this.#plan.next();
      if (this.#isLost) return;
    }
    this.#inner.write64(offset, low, high);
  }
}
