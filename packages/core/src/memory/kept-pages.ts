import type { PageAllocator } from './page-allocator.ts';

/** Pages of a window that stay taken, since a device may still reach them, and the callback for when it does not. */
interface PageRun {
  readonly page: number;
  readonly count: number;
  readonly free: () => void;
}

/** The pages of a window that its owner could not take back. Cold. */
export class KeptPages {
  readonly #pages: PageAllocator;
  #runs: readonly PageRun[] = [];

  constructor(pages: PageAllocator) {
    this.#pages = pages;
  }

  /** How many pages are kept. */
  get count(): number {
    return this.#runs.reduce((sum, { count }) => sum + count, 0);
  }

  /** Whether a page is kept. */
  has(page: number): boolean {
    return this.#runs.some((run) => page >= run.page && page < run.page + run.count);
  }

  /** Keeps pages that stay taken; `free` is called once they are given back. */
  keep(page: number, count: number, free: () => void): void {
    this.#runs = [...this.#runs, { page, count, free }];
  }

  /** Gives back the pages that the device does not reach any more: all of them unless `isFree` says otherwise. */
  giveBack(isFree: (page: number, count: number) => boolean = () => true): void {
    const runs = this.#runs;
    this.#runs = [];
    for (const run of runs) {
      const { page, count, free } = run;
      if (isFree(page, count)) {
        this.#pages.give(page, count);
        free();
      } else this.keep(page, count, free);
    }
  }
}
