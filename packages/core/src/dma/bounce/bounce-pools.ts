import { isCodedError } from '../../errors/coded-error.ts';
import type { AddressRange } from '../address-range.ts';
import type { DmaRegion } from '../dma-region.ts';
import { BouncePool, BOUNCE_SEGMENT_SIZE, BOUNCE_SLOT_SIZE, type BouncePoolOptions } from './bounce-pool.ts';

/** Linux makes no smaller pool where it has to do with less (IO_TLB_MIN_SLABS). */
const SMALLEST_POOL = 2 ** 20;

/** How to set up {@link BouncePools}. */
export interface BouncePoolsOptions extends Omit<BouncePoolOptions, 'base'> {
  /**
   * Bytes of all pools together: another pool is added where no slot is free, until they have so many
   * (CONFIG_SWIOTLB_DYNAMIC). `bytes` unless given: one pool, as without it.
   */
  readonly limit?: number;
  /** Whether a first pool that memory has no room for is halved, down to 1 MiB, as Linux does at boot. */
  readonly halves?: boolean;
}

/** The counters of {@link BouncePools}. Sizes in slots. */
export interface BouncePoolStatistics {
  readonly slots: number;
  readonly used: number;
  readonly highWater: number;
  /** How often no free run of slots was found. */
  readonly exhausted: number;
}

/** A pool of slots and its memory: `region` is shared with the device and mapped once. */
interface SharedBouncePool {
  readonly slots: BouncePool;
  readonly region: DmaRegion;
}

/**
 * The slots that the queues of one device copy through: a pool, and further ones where they may grow. A pool is added
 * when none has room, and stays until the end. (Linux serves the request that found no room from memory of its own, and
 * adds the pool later, because it cannot wait at that place.) A copy is named by its guest-physical address. Hot: no
 * allocation but of a pool.
 */
export class BouncePools {
  /** Longest buffer. */
  readonly maxMappingSize: number;
  /** Low bits of its address that a buffer keeps in its slot. */
  readonly minAlignMask: number;
  readonly #options: BouncePoolsOptions;
  readonly #share: (bytes: number) => DmaRegion;
  readonly #pools: SharedBouncePool[] = [];
  #bytes = 0;
  /** Whether a pool could not be added: it is not tried again, since a host that refused leaves memory lost. */
  #isFull = false;
  #highWater = 0;
  #exhausted = 0;

  /**
   * `share` allocates memory that the device sees, or throws {@link DmaError}. Throws what it throws where there is no
   * memory for the first pool, and `RangeError` for options that do not fit together.
   */
  constructor(options: BouncePoolsOptions, share: (bytes: number) => DmaRegion) {
    this.#options = options;
    this.minAlignMask = options.minAlignMask ?? 0;
    this.#share = share;
    const least = options.halves === true ? this.#leastBytes : options.bytes;
    this.#add(options.bytes, least);
    this.maxMappingSize = this.#pools[0]!.slots.maxMappingSize;
  }

  get statistics(): BouncePoolStatistics {
    let slots = 0;
    for (const pool of this.#pools) slots += pool.slots.slots;
    return { slots, used: this.#used, highWater: this.#highWater, exhausted: this.#exhausted };
  }

  /** The pools, as a platform shows them. */
  get addressRanges(): readonly AddressRange[] {
    return this.#pools.map(({ region }) => {
      const { address, length } = region;
      const words = deviceAddressOf(region);
      const deviceAddress = (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
      return { what: 'bounce pool', kind: 'pool', deviceAddress, address, length };
    });
  }

  /**
   * Takes slots for the `length` bytes of a buffer at `address`, from area `hint` (any number) on. Returns the
   * guest-physical address of the copy, or -1 when there is no room and no pool can be added.
   */
  take(address: number, length: number, hint: number): number {
    for (let i = 0; i < this.#pools.length; i++) {
      const { slots, region } = this.#pools[i]!;
      const offset = slots.take(address, length, hint);
      if (offset >= 0) return this.#taken(region.address + offset);
    }
    if (length <= this.maxMappingSize && this.#grow()) return this.take(address, length, hint);
    this.#exhausted++;
    return -1;
  }

  /**
   * Takes slots for `length` bytes, at most 256 KiB, that begin at a multiple of `alignment`. Returns their
   * guest-physical address, or -1 when there is no room. Cold.
   */
  takeAligned(length: number, alignment: number): number {
    for (const { slots, region } of this.#pools) {
      const offset = slots.takeAligned(length, alignment, 0);
      if (offset >= 0) return this.#taken(region.address + offset);
    }
    if (length <= BOUNCE_SEGMENT_SIZE && this.#grow()) return this.takeAligned(length, alignment);
    this.#exhausted++;
    return -1;
  }

  /** Gives back the slots of a copy of this length. */
  give(copy: number, length: number): void {
    const { slots, region } = this.#poolOf(copy)!;
    slots.give(copy - region.address, length);
  }

  /** Writes the device address of a copy as {@link DmaRegion.writeDeviceAddress} does. */
  writeDeviceAddress(copy: number, words: Uint32Array, at: number): void {
    const { region } = this.#poolOf(copy)!;
    region.writeDeviceAddress(copy - region.address, words, at);
  }

  /** The number of the slot at a guest-physical address, counted through all pools; -1 outside of them. Cold. */
  slotAt(address: number): number {
    let before = 0;
    for (const { slots, region } of this.#pools) {
      if (address >= region.address && address < region.address + region.length)
        return before + Math.floor((address - region.address) / BOUNCE_SLOT_SIZE);
      before += slots.slots;
    }
    return -1;
  }

  get #used(): number {
    let used = 0;
    for (let i = 0; i < this.#pools.length; i++) used += this.#pools[i]!.slots.used;
    return used;
  }

  get #leastBytes(): number {
    const { bytes, areas = 1 } = this.#options;
    return Math.min(bytes, Math.max(SMALLEST_POOL, areas * BOUNCE_SEGMENT_SIZE));
  }

  #taken(copy: number): number {
    const used = this.#used;
    if (used > this.#highWater) this.#highWater = used;
    return copy;
  }

  #poolOf(copy: number): SharedBouncePool | undefined {
    for (let i = 0; i < this.#pools.length; i++) {
      const pool = this.#pools[i]!;
      const offset = copy - pool.region.address;
      if (offset >= 0 && offset < pool.region.length) return pool;
    }
    return undefined;
  }

  /** Adds a pool as large as the first one, or as there is room for. Cold. */
  #grow(): boolean {
    const { bytes, limit = bytes, areas = 1 } = this.#options;
    const unit = areas * BOUNCE_SEGMENT_SIZE;
    const left = Math.floor((limit - this.#bytes) / unit) * unit;
    if (left <= 0 || this.#isFull) return false;
    try {
      this.#add(Math.min(bytes, left), Math.min(this.#leastBytes, left));
      return true;
    } catch (error) {
      if (!isExhausted(error)) throw error;
      this.#isFull = true;
      return false;
    }
  }

  /** Adds a pool of `bytes`, or of half as many and so on, but not of fewer than `least`. */
  #add(bytes: number, least: number): void {
    const { areas = 1 } = this.#options;
    const unit = areas * BOUNCE_SEGMENT_SIZE;
    for (let size = bytes; ;) {
      try {
        const region = this.#share(size);
        const words = deviceAddressOf(region);
        // Alignment and boundary depend on low bits, so the highest bits of the address can be dropped.
        const base = (words[1]! & 0xffff) * 0x1_0000_0000 + words[0]!;
        this.#pools.push({ slots: new BouncePool({ ...this.#options, bytes: size, base }), region });
        this.#bytes += size;
        return;
      } catch (error) {
        const half = Math.ceil(size / 2 / unit) * unit;
        if (!isExhausted(error) || half < least || half === size) throw error;
        size = half;
      }
    }
  }
}

function isExhausted(error: unknown): boolean {
  return isCodedError(error) && error.code === 'ERR_DMA_EXHAUSTED';
}

function deviceAddressOf(region: DmaRegion): Uint32Array {
  const words = new Uint32Array(2);
  region.writeDeviceAddress(0, words, 0);
  return words;
}
