/**
 * The bus pages of one window that are taken. The search starts behind the last hit (next fit), so a bus page is reused as
 * late as possible: a device that uses an address too long faults instead of reaching the next owner's memory.
 * Hot: no allocation, and the taken pages are skipped at the speed of a memory search.
 */
export class BusPageAllocator {
  readonly pages: number;
  readonly #taken: Uint8Array;
  #next = 0;
  #takenCount = 0;

  constructor(pages: number) {
    this.pages = pages;
    this.#taken = new Uint8Array(pages);
  }

  get takenCount(): number {
    return this.#takenCount;
  }

  /** Takes `count` consecutive pages, the first a multiple of `alignment` (a power of two). Returns it, or -1. */
  take(count: number, alignment: number): number {
    let page = this.#search(this.#next, this.pages, count, alignment);
    if (page < 0) {
      // Again from the start, far enough to find a run that lies across the place where the first search began.
      const end = this.#next + count - 1;
      page = this.#search(0, end < this.pages ? end : this.pages, count, alignment);
    }
    if (page < 0) return -1;
    for (let i = 0; i < count; i++) this.#taken[page + i] = 1;
    this.#takenCount += count;
    this.#next = page + count;
    return page;
  }

  /** Gives back pages that `take` returned. */
  give(page: number, count: number): void {
    for (let i = 0; i < count; i++) this.#taken[page + i] = 0;
    this.#takenCount -= count;
  }

  /** Finds a free run inside `[from, to)`. */
  #search(from: number, to: number, count: number, alignment: number): number {
    for (let page = from; ;) {
      page += -page & (alignment - 1);
      if (page + count > to) return -1;
      let run = 0;
      while (run < count && this.#taken[page + run] === 0) run++;
      if (run === count) return page;
      page = this.#taken.indexOf(0, page + run + 1);
      if (page < 0) return -1;
    }
  }
}
