/**
 * Pages below 2 GiB. Devices of 32 bits could use 4 GiB, but addresses from 2^31 on are numbers that the engine allocates, which would cost
 * the hot path of both ends some bytes for each mapping; and the addresses of interrupts are up there.
 */
export const IOVA_PAGES_END: number = 2 ** 19;

/**
 * The I/O virtual pages of one domain: the highest below 2 GiB, as many as there may be, and from the top down as Linux hands them out.
 * The search goes on where the last one ended, so a page is used again as late as possible: a device that uses an address too long faults
 * instead of reaching the next owner's memory. Page 0 is never given. Hot: no allocation.
 */
export class IovaPages {
  /** First page of the range, and how many there are. */
  readonly first: number;
  readonly count: number;
  /** Pages of the longest run that there can be. */
  readonly longestRun: number;
  readonly #taken: Uint8Array;
  /** Pages of which an old translation may still be cached somewhere. */
  readonly #stale: Uint8Array;
  /** One behind the page that the next search begins with, counted from {@link first}. */
  #next: number;
  #takenCount = 0;
  #staleCount = 0;

  constructor(count: number) {
    this.first = IOVA_PAGES_END - count;
    this.count = count;
    this.#taken = new Uint8Array(count);
    this.#stale = new Uint8Array(count);
    this.#next = count;
    if (this.first === 0) this.#taken[0] = 1;
    this.longestRun = this.first === 0 ? count - 1 : count;
  }

  /** Pages that have an owner, and those that nobody may have any more. */
  get takenCount(): number {
    return this.#takenCount;
  }

  get staleCount(): number {
    return this.#staleCount;
  }

  /** Takes `count` pages in a row, the first of them `remainder` above a multiple of `alignment` (a power of two). Returns it, or -1. */
  take(count: number, alignment: number, remainder: number): number {
    let page = this.#search(this.#next, 0, count, alignment, remainder);
    if (page < 0) {
      // Again from the top, far enough down to find a run that lies across the place where the first search began.
      const lowest = this.#next - count + 1;
      page = this.#search(this.count, lowest > 0 ? lowest : 0, count, alignment, remainder);
    }
    if (page < 0) return -1;
    for (let i = 0; i < count; i++) this.#taken[page + i] = 1;
    this.#takenCount += count;
    this.#next = page;
    return this.first + page;
  }

  /** Gives back pages that `take` returned. */
  give(page: number, count: number): void {
    for (let i = page - this.first; count > 0; i++, count--) {
      this.#taken[i] = 0;
      this.#takenCount--;
    }
  }

  /** Whether an old translation of this page may still be cached; `false` for one that is not in the range. */
  isStale(page: number): boolean {
    return this.#stale[page - this.first] === 1;
  }

  markStale(page: number, count: number): void {
    for (let i = page - this.first; count > 0; i++, count--) {
      if (this.#stale[i] === 0) this.#staleCount++;
      this.#stale[i] = 1;
    }
  }

  /** An invalidation of these pages was confirmed. Nothing is looked at while nothing is stale. */
  markFresh(page: number, count: number): void {
    if (this.#staleCount === 0) return;
    for (let i = page - this.first; count > 0; i++, count--) {
      if (this.#stale[i] === 1) this.#staleCount--;
      this.#stale[i] = 0;
    }
  }

  /** Finds a free run inside `[from, below)`, the highest. */
  #search(below: number, from: number, count: number, alignment: number, remainder: number): number {
    for (let end = below; ;) {
      let start = end - count;
      start -= (this.first + start - remainder) & (alignment - 1);
      if (start < from) return -1;
      let page = start + count - 1;
      while (page >= start && this.#taken[page] === 0) page--;
      if (page < start) return start;
      end = this.#taken.lastIndexOf(0, page) + 1;
      if (end <= from) return -1;
    }
  }
}
