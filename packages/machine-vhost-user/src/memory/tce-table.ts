import { TCE_READ, TCE_WRITE, type DmaWindow } from '@virtio-platform/platform-pseries';
import type { RegionRequest } from './memory-regions.ts';

const WORD = 0x1_0000_0000;

/** One DMA window and its translation control entries, stored verbatim as low and high word, as QEMU does. */
export class TceTable {
  readonly window: DmaWindow;
  readonly entries: number;
  readonly #words: Uint32Array;
  readonly #pageSize: number;
  readonly #baseHigh: number;

  /** The window begins at a multiple of 2^32. */
  constructor(window: DmaWindow) {
    this.window = window;
    this.#pageSize = 2 ** window.pageShift;
    this.entries = window.size / this.#pageSize;
    this.#words = new Uint32Array(2 * this.entries);
    this.#baseHigh = Number(window.base >> 32n);
  }

  /** The entry that translates a bus address, rounded down to its page; -1 outside the window. */
  indexOf(iobaLow: number, iobaHigh: number): number {
    const offset = (iobaHigh - this.#baseHigh) * WORD + iobaLow;
    return offset >= 0 && offset < this.window.size ? Math.floor(offset / this.#pageSize) : -1;
  }

  /** First bus address of an entry; of the end of the window for the entry behind the last. */
  busAddress(index: number): bigint {
    return this.window.base + BigInt(index * this.#pageSize);
  }

  low(index: number): number {
    return this.#words[2 * index]!;
  }

  high(index: number): number {
    return this.#words[2 * index + 1]!;
  }

  set(index: number, low: number, high: number): void {
    this.#words[2 * index] = low;
    this.#words[2 * index + 1] = high;
  }

  /** Copies entries for {@link restore}. */
  save(index: number, count: number): Uint32Array {
    return this.#words.slice(2 * index, 2 * (index + count));
  }

  /** Writes back entries that {@link save} copied. */
  restore(index: number, saved: Uint32Array): void {
    this.#words.set(saved, 2 * index);
  }

  /**
   * The runs among `count` entries: contiguous on the bus and in guest memory of `memorySize` bytes. Entries without
   * permission, or that point outside memory, are in none. A page that memory fills in part counts as far as it goes.
   */
  runs(index: number, count: number, memorySize: number): RegionRequest[] {
    const found: RegionRequest[] = [];
    let offset = 0;
    let size = 0;
    const endRun = (behind: number): void => {
      if (size === 0) return;
      const first = behind - Math.ceil(size / this.#pageSize);
      found.push({ guestAddress: this.busAddress(first), offset, size });
      size = 0;
    };
    for (let i = index; i < index + count; i++) {
      const target = this.#target(i);
      const length = target < 0 ? 0 : Math.max(0, Math.min(this.#pageSize, memorySize - target));
      if (length === 0 || target !== offset + size) endRun(i);
      if (length === 0) continue;
      if (size === 0) offset = target;
      size += length;
    }
    endRun(index + count);
    return found;
  }

  /** Guest-physical address an entry points at, or -1 where it permits nothing. */
  #target(index: number): number {
    const low = this.low(index);
    if ((low & (TCE_READ | TCE_WRITE)) === 0) return -1;
    return this.high(index) * WORD + (low - (low % this.#pageSize));
  }
}
