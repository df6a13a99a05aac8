import { PAGE_SIZE } from '@virtio-platform/core/memory';
import type { ConvertibleMemory } from '@virtio-platform/host';

/**
 * Whole pages of guest memory: `size` bytes from the guest-physical address `offset` on, which is their offset in the
 * file too.
 */
export interface PageRange {
  readonly offset: number;
  readonly size: number;
}

/**
 * The pages of guest memory that are in the file of the back-end: exactly those with a hold. A page has one hold for
 * each device address at which it is mapped. Adjacent pages move together.
 */
export class SharedPages {
  readonly #memory: ConvertibleMemory;
  /**
   * How often each page is held: once for each device address it is reached at, and once more while regions are
   * exchanged.
   */
  readonly #holds: Uint32Array;
  readonly #share = ({ offset, size }: PageRange): void => this.#memory.share(offset, size);
  readonly #unshare = ({ offset, size }: PageRange): void => this.#memory.unshare(offset, size);

  /** `memory` is all private, and stays its owner's. */
  constructor(memory: ConvertibleMemory) {
    this.#memory = memory;
    this.#holds = new Uint32Array(memory.size / PAGE_SIZE);
  }

  get descriptor(): number {
    return this.#memory.descriptor;
  }

  /**
   * Adds a hold to each page; a page that had none moves into the file. Throws {@link HostError}, and then nothing
   * has changed.
   */
  hold(range: PageRange): void {
    allOrNone(this.#heldTimes(0, range), this.#share, this.#unshare);
    this.#count(range, 1);
  }

  /**
   * Removes a hold from each page; a page without another moves out of the file. Throws {@link HostError}, and then
   * nothing has changed.
   */
  release(range: PageRange): void {
    allOrNone(this.#heldTimes(1, range), this.#unshare, this.#share);
    this.#count(range, -1);
  }

  #count({ offset, size }: PageRange, change: number): void {
    const end = (offset + size) / PAGE_SIZE;
    for (let page = offset / PAGE_SIZE; page < end; page++) this.#holds[page]! += change;
  }

  /** The runs of pages in a range that are held exactly so often. */
  #heldTimes(times: number, { offset, size }: PageRange): PageRange[] {
    const runs: PageRange[] = [];
    const end = (offset + size) / PAGE_SIZE;
    for (let page = offset / PAGE_SIZE; page < end; page++) {
      const first = page;
      while (page < end && this.#holds[page] === times) page++;
      if (page > first) runs.push({ offset: first * PAGE_SIZE, size: (page - first) * PAGE_SIZE });
    }
    return runs;
  }
}

/** Does something to each range; where one fails it is undone for those before. */
function allOrNone(
  ranges: readonly PageRange[],
  act: (range: PageRange) => void,
  undo: (range: PageRange) => void,
): void {
  let done = 0;
  try {
    for (; done < ranges.length; done++) act(ranges[done]!);
  } catch (error) {
    while (done > 0) undo(ranges[--done]!);
    throw error;
  }
}
