/** Bytes of a slot, as in Linux (IO_TLB_SHIFT). */
export const BOUNCE_SLOT_SIZE = 2048;
/** Slots of a segment, as in Linux (IO_TLB_SEGSIZE): a buffer takes at most the 256 KiB of one segment. */
export const BOUNCE_SEGMENT_SLOTS = 128;
/** Bytes of a segment: a pool is a multiple of it. */
export const BOUNCE_SEGMENT_SIZE: number = BOUNCE_SLOT_SIZE * BOUNCE_SEGMENT_SLOTS;

const IN_SLOT = BOUNCE_SLOT_SIZE - 1;
const PAGE_SIZE = 4096;
const FEW_SLOTS = 16;

/** How to set up a {@link BouncePool}. */
export interface BouncePoolOptions {
  /** Bytes: a multiple of the 256 KiB segment for each area. */
  readonly bytes: number;
  /**
   * Device address of the first byte, below 2^53, a multiple of 4 KiB: alignment and boundary refer to it. 0 unless
   * given.
   */
  readonly base?: number;
  /**
   * Parts that are searched one after the other, beginning with the one that `take` names; Linux has one for each
   * processor, so that processors do not wait for each other. A power of two; 1 unless given.
   */
  readonly areas?: number;
  /** Low address bits that a buffer keeps in its slot, such as 0xfff: `dma_get_min_align_mask`. 0 unless given. */
  readonly minAlignMask?: number;
  /**
   * The slots of a buffer cross no multiple of this: `dma_get_seg_boundary` + 1. A power of two; Infinity unless given.
   */
  readonly boundary?: number;
}

/**
 * Slots of shared memory that buffers are copied through; Linux calls it swiotlb (`swiotlb_search_pool_area`). A buffer
 * takes consecutive slots of one segment. The search starts behind the last hit of its area, so slots are reused as
 * late as possible. The state is private: nothing is read from the shared memory itself. Hot: no allocation.
 */
export class BouncePool {
  readonly slots: number;
  /** Longest buffer: the rest of a segment when the address of the buffer costs the most padding. */
  readonly maxMappingSize: number;
  readonly #base: number;
  readonly #areas: number;
  readonly #areaSlots: number;
  readonly #minAlignMask: number;
  readonly #boundary: number;
  readonly #used: Uint8Array;
  /** By area: where the next search starts. */
  readonly #next: Uint32Array;
  #inUse = 0;

  /** Throws `RangeError` for options that do not fit together. */
  constructor(options: BouncePoolOptions) {
    const { bytes, base = 0, areas = 1, minAlignMask = 0, boundary = Infinity } = options;
    if (!isPowerOfTwo(areas)) throw new RangeError(`the number of areas, ${areas}, is not a power of two`);
    if (!(bytes >= BOUNCE_SEGMENT_SIZE) || bytes % (BOUNCE_SEGMENT_SIZE * areas) !== 0) {
      throw new RangeError(
        `a bounce pool of ${areas} areas is a multiple of ${BOUNCE_SEGMENT_SIZE * areas} bytes, not ${bytes}`,
      );
    }
    if (base % PAGE_SIZE !== 0) throw new RangeError('a bounce pool starts at a page');
    if (!isPowerOfTwo(minAlignMask + 1) || minAlignMask >= BOUNCE_SEGMENT_SIZE / 2)
      throw new RangeError(`0x${minAlignMask.toString(16)} is not a mask of low address bits below half a segment`);
    if (boundary !== Infinity && (!isPowerOfTwo(boundary) || boundary < PAGE_SIZE))
      throw new RangeError(`a boundary of ${boundary} bytes is not a power of two of at least ${PAGE_SIZE}`);
    this.slots = bytes / BOUNCE_SLOT_SIZE;
    const padding = Math.ceil(minAlignMask / BOUNCE_SLOT_SIZE) * BOUNCE_SLOT_SIZE;
    this.maxMappingSize = Math.min(BOUNCE_SEGMENT_SIZE, boundary) - padding;
    this.#base = base;
    this.#areas = areas;
    this.#areaSlots = this.slots / areas;
    this.#minAlignMask = minAlignMask;
    this.#boundary = boundary;
    this.#used = new Uint8Array(this.slots);
    this.#next = Uint32Array.from({ length: areas }, (_, area) => area * this.#areaSlots);
  }

  /** Slots that are taken. */
  get used(): number {
    return this.#inUse;
  }

  /**
   * Takes slots for the `length` bytes of a buffer at `address`, from area `hint` (any number) on. Returns the
   * offset of the copy in the pool in bytes, or -1 when no run of slots is free.
   */
  take(address: number, length: number, hint: number): number {
    const offset = address & this.#minAlignMask & IN_SLOT;
    const count = slotsOf(offset + length);
    if (count > BOUNCE_SEGMENT_SLOTS) return -1;
    // Address bits above the slot that a buffer keeps. With an empty mask, buffers of whole pages start at a page.
    const isPages = this.#minAlignMask === 0 && length >= PAGE_SIZE;
    const mask = isPages ? PAGE_SIZE - 1 : this.#minAlignMask & ~IN_SLOT;
    const slot = this.#find(hint, count, mask, isPages ? 0 : address & mask);
    return slot < 0 ? -1 : slot * BOUNCE_SLOT_SIZE + offset;
  }

  /**
   * Takes slots for `length` bytes that begin at a multiple of `alignment`, a power of two, as `swiotlb_alloc` does for
   * a ring. Returns their offset in the pool in bytes, or -1 when no run of slots is free. Cold.
   */
  takeAligned(length: number, alignment: number, hint: number): number {
    const count = slotsOf(length);
    if (count > BOUNCE_SEGMENT_SLOTS) return -1;
    const slot = this.#find(hint, count, (alignment - 1) & ~IN_SLOT, 0);
    return slot < 0 ? -1 : slot * BOUNCE_SLOT_SIZE;
  }

  /** Gives back the slots that `take` or `takeAligned` returned for the same length. */
  give(at: number, length: number): void {
    const slot = Math.floor(at / BOUNCE_SLOT_SIZE);
    const count = slotsOf((at & IN_SLOT) + length);
    this.#mark(slot, count, 0);
    this.#inUse -= count;
  }

  /** Finds and claims a run of slots in the areas from area `hint` on. */
  #find(hint: number, count: number, mask: number, bits: number): number {
    for (let i = 0; i < this.#areas; i++) {
      const slot = this.#search((hint + i) & (this.#areas - 1), count, mask, bits);
      if (slot >= 0) return slot;
    }
    return -1;
  }

  /** Finds and claims a run of slots in one area. The first slot's address has these `bits` under `mask`. */
  #search(area: number, count: number, mask: number, bits: number): number {
    const first = area * this.#areaSlots;
    const end = first + this.#areaSlots;
    let slot = this.#next[area]!;
    for (let seen = 0; seen < this.#areaSlots;) {
      if (slot === end) slot = first;
      const step = this.#misfit(slot, count, mask, bits);
      if (step === 0) return this.#claim(area, slot, count);
      // A step stays in the segment, so it stays in the area.
      slot += step;
      seen += step;
    }
    return -1;
  }

  /** How many slots to skip from a slot at which a buffer does not fit; 0 where it fits. */
  #misfit(slot: number, count: number, mask: number, bits: number): number {
    const left = BOUNCE_SEGMENT_SLOTS - (slot % BOUNCE_SEGMENT_SLOTS);
    if (left < count) return left;
    const at = this.#base + slot * BOUNCE_SLOT_SIZE;
    if ((at & mask) !== bits) return 1;
    const last = at + count * BOUNCE_SLOT_SIZE - 1;
    const boundary = this.#boundary;
    // In front of the first boundary, or without any, nothing is divided.
    if (last >= boundary && Math.floor(at / boundary) !== Math.floor(last / boundary)) return 1;
    for (let run = 0; run < count; run++) if (this.#used[slot + run] !== 0) return run + 1;
    return 0;
  }

  #claim(area: number, slot: number, count: number): number {
    this.#mark(slot, count, 1);
    this.#inUse += count;
    this.#next[area] = slot + count;
    return slot;
  }

  /** A few slots in a loop: a call of the engine's `fill` takes as long as some twenty of them. */
  #mark(slot: number, count: number, isUsed: 0 | 1): void {
    const used = this.#used;
    if (count > FEW_SLOTS) used.fill(isUsed, slot, slot + count);
    else for (let i = slot; i < slot + count; i++) used[i] = isUsed;
  }
}

function slotsOf(bytes: number): number {
  return Math.ceil(bytes / BOUNCE_SLOT_SIZE);
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && Number.isInteger(Math.log2(value));
}
