import { PAGE_SIZE } from '../../memory/guest-memory.ts';
import { PageAllocator } from '../../memory/page-allocator.ts';

/**
 * First address behind the range of I/O virtual addresses: 2 GiB. Devices of 32 bits could use 4 GiB, but the
 * JavaScript engine allocates numbers from 2^31 on, a few bytes for each mapping on the hot path of both ends; and the
 * addresses of interrupts of a PC are in the upper half.
 */
export const IOVA_END: number = 2 ** 31;

/**
 * The I/O virtual pages of one domain: the highest `count` below 2 GiB, or below what the device can address, from the
 * top down as Linux allocates them, without page 0. It remembers the stale pages: those of which the unit may still
 * cache an old translation. Hot: no allocation.
 */
export class IovaPages extends PageAllocator {
  /** Whether the limit leaves fewer pages than were asked for. */
  readonly isCut: boolean;
  readonly #stale: Uint8Array;
  #staleCount = 0;

  /**
   * `granule` is how many bytes a page has: a power of two. Addresses below `limit` are what the unit translates, and
   * what the device can address.
   */
  constructor(count: number, granule: number = PAGE_SIZE, limit: number = IOVA_END) {
    const end = Math.min(IOVA_END, limit) / granule;
    const first = Math.max(1, end - count);
    super(first, end - first, 'downward');
    this.isCut = this.count < count;
    this.#stale = new Uint8Array(this.count);
  }

  /** How many pages are stale. */
  get staleCount(): number {
    return this.#staleCount;
  }

  /** Whether the unit may still cache an old translation of this page; `false` for a page outside of the range. */
  isStale(page: number): boolean {
    return this.#stale[page - this.first] === 1;
  }

  /** The unit did not confirm an invalidation of these pages. */
  markStale(page: number, count: number): void {
    for (let i = page - this.first; count > 0; i++, count--) {
      if (this.#stale[i] === 0) this.#staleCount++;
      this.#stale[i] = 1;
    }
  }

  /** The unit confirmed an invalidation of these pages. Returns at once while no page is stale. */
  markFresh(page: number, count: number): void {
    if (this.#staleCount === 0) return;
    for (let i = page - this.first; count > 0; i++, count--) {
      if (this.#stale[i] === 1) this.#staleCount--;
      this.#stale[i] = 0;
    }
  }
}
