/** Which free run {@link PageAllocator} takes: the lowest behind the last one, or the highest in front of it. */
export type AllocationOrder = 'upward' | 'downward';

/**
 * Allocates runs of device pages, such as the bus pages of a DMA window. The search continues where the last one ended
 * (next fit), so a page is reused as late as possible: a device that uses an address too long faults instead of
 * reaching the memory of the next mapping. Taken pages are skipped at the speed of a memory search. Hot: no allocation.
 */
export class PageAllocator {
  /** Number of the first page. */
  readonly first: number;
  /** How many pages there are. */
  readonly count: number;
  readonly #isDownward: boolean;
  readonly #taken: Uint8Array;
  /**
   * Where the next search starts, counted from {@link first}: its first page, or downward the page behind its last one.
   */
  #next: number;
  #takenCount = 0;

  constructor(first: number, count: number, order: AllocationOrder) {
    this.first = first;
    this.count = count;
    this.#isDownward = order === 'downward';
    this.#taken = new Uint8Array(count);
    this.#next = this.#isDownward ? count : 0;
  }

  /** Pages that were taken and not given back. */
  get takenCount(): number {
    return this.#takenCount;
  }

  /**
   * Takes `count` consecutive pages, the first of them `remainder` above a multiple of `alignment` (a power of two).
   * Returns the first page, or -1 when no such run is free.
   */
  take(count: number, alignment: number, remainder: number): number {
    const page = this.#isDownward
      ? this.#findDownward(count, alignment, remainder)
      : this.#findUpward(count, alignment, remainder);
    if (page < 0) return -1;
    for (let i = 0; i < count; i++) this.#taken[page + i] = 1;
    this.#takenCount += count;
    this.#next = this.#isDownward ? page : page + count;
    return this.first + page;
  }

  /** Takes the pages that are free of the `count` from `page` on. Cold. */
  takeAt(page: number, count: number): void {
    const start = page - this.first;
    if (!(start >= 0 && count >= 0 && start + count <= this.count))
      throw new RangeError(`${count} pages from ${page} on are not among the ${this.count} from ${this.first} on`);
    for (let i = start; i < start + count; i++) {
      if (this.#taken[i] === 0) this.#takenCount++;
      this.#taken[i] = 1;
    }
  }

  /** Gives back pages that `take` returned. */
  give(page: number, count: number): void {
    const start = page - this.first;
    for (let i = 0; i < count; i++) this.#taken[start + i] = 0;
    this.#takenCount -= count;
  }

  #findUpward(count: number, alignment: number, remainder: number): number {
    const page = this.#searchUpward(this.#next, this.count, count, alignment, remainder);
    if (page >= 0) return page;
    // Again from the start, far enough to find a run across the page where the first search began.
    const end = this.#next + count - 1;
    return this.#searchUpward(0, end < this.count ? end : this.count, count, alignment, remainder);
  }

  /** The lowest free run inside `[from, to)`. */
  #searchUpward(from: number, to: number, count: number, alignment: number, remainder: number): number {
    for (let page = from; ;) {
      page += (remainder - this.first - page) & (alignment - 1);
      if (page + count > to) return -1;
      let run = 0;
      while (run < count && this.#taken[page + run] === 0) run++;
      if (run === count) return page;
      page = this.#taken.indexOf(0, page + run + 1);
      if (page < 0) return -1;
    }
  }

  #findDownward(count: number, alignment: number, remainder: number): number {
    const page = this.#searchDownward(this.#next, 0, count, alignment, remainder);
    if (page >= 0) return page;
    // Again from the end, far enough to find a run across the page where the first search began.
    const lowest = this.#next - count + 1;
    return this.#searchDownward(this.count, lowest > 0 ? lowest : 0, count, alignment, remainder);
  }

  /** The highest free run inside `[from, below)`. */
  #searchDownward(below: number, from: number, count: number, alignment: number, remainder: number): number {
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
