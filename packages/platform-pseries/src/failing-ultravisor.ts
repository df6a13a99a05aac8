import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import type { MemoryConversion } from '@virtio-platform/core/memory';

/** Injects refused ultracalls, which leave the pages unchanged. Counts those of both directions as one sequence. */
export class FailingUltravisor implements MemoryConversion {
  readonly #inner: MemoryConversion;
  readonly #plan: FailurePlan;

  constructor(inner: MemoryConversion, schedule: FailureSchedule) {
    this.#inner = inner;
    this.#plan = new FailurePlan(schedule);
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ ultracalls: this.#plan });
  }

  setShared(address: number, length: number): boolean {
    return !this.#plan.next() && this.#inner.setShared(address, length);
  }

  setPrivate(address: number, length: number): boolean {
    return !this.#plan.next() && this.#inner.setPrivate(address, length);
  }
}
