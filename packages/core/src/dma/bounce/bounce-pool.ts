/** Bytes of a slot and slots of a segment, as in Linux (IO_TLB_SHIFT, IO_TLB_SEGSIZE): a buffer fits in at most 256 KiB. */
export const BOUNCE_SLOT_SIZE = 2048;
export const BOUNCE_SEGMENT_SLOTS = 128;

/** What {@link BouncePool} counts. Sizes in slots. */
export interface BouncePoolStatistics {
  readonly slots: number;
  readonly used: number;
  readonly highWater: number;
  /** How often no run of slots was free. */
  readonly exhausted: number;
}

/**
 * Slots of shared memory that buffers are copied through; Linux calls it swiotlb. A buffer takes consecutive slots of one
 * segment. The search starts behind the last hit, so slots are reused as late as possible. Private state only: nothing here
 * is ever read from the shared memory itself. Hot: no allocation.
 */
export class BouncePool {
  readonly slots: number;
  readonly #used: Uint8Array;
  #inUse = 0;
  #highWater = 0;
  #exhausted = 0;
  #next = 0;

  /** `bytes` is a multiple of the 256 KiB segment. */
  constructor(bytes: number) {
    const segment = BOUNCE_SLOT_SIZE * BOUNCE_SEGMENT_SLOTS;
    if (!(bytes >= segment) || bytes % segment !== 0) {
      throw new RangeError(`a bounce pool is a multiple of ${segment} bytes, not ${bytes}`);
    }
    this.slots = bytes / BOUNCE_SLOT_SIZE;
    this.#used = new Uint8Array(this.slots);
  }

  get statistics(): BouncePoolStatistics {
    return { slots: this.slots, used: this.#inUse, highWater: this.#highWater, exhausted: this.#exhausted };
  }

  /** Takes slots for `length` bytes. Returns the first slot, or -1 when no segment has such a run free. */
  take(length: number): number {
    const wanted = slotsOf(length);
    if (wanted > BOUNCE_SEGMENT_SLOTS) return -1;
    let slot = this.#next;
    for (let seen = 0; seen < this.slots;) {
      if (slot === this.slots) slot = 0;
      const left = BOUNCE_SEGMENT_SLOTS - (slot % BOUNCE_SEGMENT_SLOTS);
      if (left < wanted) {
        slot += left;
        seen += left;
        continue;
      }
      let run = 0;
      while (run < wanted && this.#used[slot + run] === 0) run++;
      if (run === wanted) return this.#claim(slot, wanted);
      slot += run + 1;
      seen += run + 1;
    }
    this.#exhausted++;
    return -1;
  }

  /** Gives back what `take` returned for the same length. */
  give(slot: number, length: number): void {
    const count = slotsOf(length);
    this.#used.fill(0, slot, slot + count);
    this.#inUse -= count;
  }

  #claim(slot: number, count: number): number {
    this.#used.fill(1, slot, slot + count);
    this.#inUse += count;
    if (this.#inUse > this.#highWater) this.#highWater = this.#inUse;
    this.#next = slot + count;
    return slot;
  }
}

function slotsOf(length: number): number {
  return Math.ceil(length / BOUNCE_SLOT_SIZE);
}
