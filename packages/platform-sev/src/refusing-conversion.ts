import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import { PAGE_SIZE, type MemoryConversion } from '@virtio-platform/core/memory';

/**
 * Injects refused conversions, at the calls that `failures.conversion` schedules. The host refuses in the middle, after
 * it converted the first half of the pages, so the guest does not know which pages are shared. Linux leaks such memory
 * (`dma_direct_free`).
 */
export class RefusingConversion implements MemoryConversion {
  readonly #conversion: MemoryConversion;
  readonly #plan: FailurePlan;

  constructor(conversion: MemoryConversion, schedule: FailureSchedule) {
    this.#conversion = conversion;
    this.#plan = new FailurePlan(schedule);
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ conversions: this.#plan });
  }

  setShared(address: number, length: number): boolean {
    if (!this.#plan.next()) return this.#conversion.setShared(address, length);
    this.#conversion.setShared(address, halfOf(length));
    return false;
  }

  setPrivate(address: number, length: number): boolean {
    if (!this.#plan.next()) return this.#conversion.setPrivate(address, length);
    this.#conversion.setPrivate(address, halfOf(length));
    return false;
  }
}

function halfOf(length: number): number {
  return Math.ceil(length / PAGE_SIZE / 2) * PAGE_SIZE;
}
