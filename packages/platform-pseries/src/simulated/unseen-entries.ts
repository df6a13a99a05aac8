import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';

/** At least the entries of the largest table. */
const ENTRIES_AT_MOST = 2 ** 24;

/**
 * Entries that the guest wrote and the device does not see, because their invalidation was lost. The device uses the
 * old entry until an invalidation of the same entry arrives. One hypercall has one invalidation for all entries that it
 * writes.
 */
export class UnseenEntries {
  readonly #plan: FailurePlan;
  readonly #entries = new Map<number, readonly [low: number, high: number]>();
  /** Whether the invalidation of this hypercall is lost; `undefined` until the hypercall needs one. */
  #isLost: boolean | undefined;

  constructor(schedule: FailureSchedule | undefined) {
    this.#plan = new FailurePlan(schedule);
  }

  /** How many invalidations were lost so far, where some are to be. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ invalidations: this.#plan });
  }

  /** Begins a hypercall. */
  begin(): void {
    this.#isLost = undefined;
  }

  /** Whether the invalidation of this hypercall is lost. */
  isLost(): boolean {
    this.#isLost ??= this.#plan.next();
    return this.#isLost;
  }

  /** Records an entry that the device does not see. */
  hide(window: number, index: number, low: number, high: number): void {
    this.#entries.set(window * ENTRIES_AT_MOST + index, [low, high]);
  }

  /** The device sees this entry. Hot: returns at once while no entry is hidden. */
  show(window: number, index: number): void {
    if (this.#entries.size > 0) this.#entries.delete(window * ENTRIES_AT_MOST + index);
  }

  /** The hidden entry that the guest wrote. */
  get(window: number, index: number): readonly [low: number, high: number] | undefined {
    return this.#entries.get(window * ENTRIES_AT_MOST + index);
  }

  /** Drops the hidden entries of a closed window. */
  forget(window: number): void {
    for (const key of this.#entries.keys()) if (Math.floor(key / ENTRIES_AT_MOST) === window) this.#entries.delete(key);
  }
}
