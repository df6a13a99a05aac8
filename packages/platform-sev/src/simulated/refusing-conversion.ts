import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import type { MemoryConversion } from '../memory-conversion.ts';

/**
 * A host that refuses conversions on purpose, and in the middle: the first half of the pages is converted already, so that nobody can
 * know what the memory is. Linux leaks it (`dma_direct_free`).
 */
export class RefusingConversion implements MemoryConversion {
  readonly #conversion: MemoryConversion;
  readonly #plan: FailurePlan;

  constructor(conversion: MemoryConversion, schedule: FailureSchedule) {
    this.#conversion = conversion;
    this.#plan = new FailurePlan(schedule);
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
