import { COUNT, GENERATION, SEQUENCE, type IommuState } from './iommu-state.ts';

/** The result of {@link MappingList.find} where no mapping has the page. */
export const NOT_MAPPED = -1;

/**
 * The mappings of a domain, sorted by their first page, as both threads see them. The driver's thread changes them; a
 * reader in another thread looks at the sequence before and after, and again where it changed. Hot: no allocation.
 */
export class MappingList {
  readonly capacity: number;
  /** What {@link find} found: the frame of the page. */
  frame = 0;
  /** What it found: the flags of the mapping. */
  flags = 0;
  /** What it found: how many pages the mapping has from there on. */
  pages = 0;
  readonly #control: Int32Array;
  readonly #firstPages: Float64Array;
  readonly #lastPages: Float64Array;
  readonly #frames: Float64Array;
  readonly #flags: Int32Array;

  constructor(state: IommuState) {
    this.#control = new Int32Array(state.control);
    this.#firstPages = new Float64Array(state.firstPages);
    this.#lastPages = new Float64Array(state.lastPages);
    this.#frames = new Float64Array(state.frames);
    this.#flags = new Int32Array(state.flags);
    this.capacity = this.#flags.length;
  }

  /** Mappings. */
  get count(): number {
    return this.#control[COUNT]!;
  }

  /** Finds the mapping of a page, in any thread. Returns its index, or {@link NOT_MAPPED}. */
  find(page: number): number {
    for (;;) {
      const sequence = Atomics.load(this.#control, SEQUENCE);
      if ((sequence & 1) !== 0) continue;
      const index = this.#search(page);
      // Not a load: on ARM the reads of the search could be done after it.
      if (Atomics.compareExchange(this.#control, SEQUENCE, sequence, sequence) === sequence) return index;
    }
  }

  /** Whether a mapping has a page of the range. In the driver's thread. */
  overlaps(first: number, last: number): boolean {
    const at = this.#behind(last);
    return at > 0 && this.#lastPages[at - 1]! >= first;
  }

  /** Adds a mapping that overlaps no other one. In the driver's thread. Returns false where there is no room. */
  add(first: number, last: number, frame: number, flags: number): boolean {
    const count = this.count;
    if (count === this.capacity) return false;
    const at = this.#behind(first);
    Atomics.add(this.#control, SEQUENCE, 1);
    this.#move(at, at + 1, count);
    this.#firstPages[at] = first;
    this.#lastPages[at] = last;
    this.#frames[at] = frame;
    this.#flags[at] = flags;
    this.#control[COUNT] = count + 1;
    Atomics.add(this.#control, SEQUENCE, 1);
    return true;
  }

  /**
   * Removes all mappings inside of a range. Returns false where the range ends inside of one, and then removes none
   * (specification 1.4 section 5.13.6.5). In the driver's thread.
   */
  remove(first: number, last: number): boolean {
    const count = this.count;
    const end = this.#behind(last);
    let start = end;
    while (start > 0 && this.#lastPages[start - 1]! >= first) start--;
    if (start === end) return true;
    if (this.#firstPages[start]! < first || this.#lastPages[end - 1]! > last) return false;
    Atomics.add(this.#control, SEQUENCE, 1);
    this.#move(end, start, count);
    this.#control[COUNT] = count - (end - start);
    Atomics.add(this.#control, SEQUENCE, 1);
    Atomics.add(this.#control, GENERATION, 1);
    return true;
  }

  /** Removes all mappings. In the driver's thread. */
  clear(): void {
    Atomics.add(this.#control, SEQUENCE, 1);
    this.#control[COUNT] = 0;
    Atomics.add(this.#control, SEQUENCE, 1);
    Atomics.add(this.#control, GENERATION, 1);
  }

  #search(page: number): number {
    const at = this.#behind(page) - 1;
    const last = at < 0 ? -1 : this.#lastPages[at]!;
    if (at < 0 || last < page) return NOT_MAPPED;
    this.frame = this.#frames[at]! + (page - this.#firstPages[at]!);
    this.flags = this.#flags[at]!;
    this.pages = last - page + 1;
    return at;
  }

  /** The index behind the last mapping that begins at a page or before it. */
  #behind(page: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#firstPages[middle]! <= page) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #move(from: number, to: number, count: number): void {
    this.#firstPages.copyWithin(to, from, count);
    this.#lastPages.copyWithin(to, from, count);
    this.#frames.copyWithin(to, from, count);
    this.#flags.copyWithin(to, from, count);
  }
}
