/**
 * The mappings of a container in order of their I/O virtual addresses, as the kernel keeps them in a tree. `end` is the first
 * address behind a mapping. Room for all is taken at the start, so that mapping allocates nothing.
 */
export class DmaEntries {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  #count = 0;

  constructor(limit: number) {
    this.#starts = new Float64Array(limit);
    this.#ends = new Float64Array(limit);
  }

  get count(): number {
    return this.#count;
  }

  start(index: number): number {
    return this.#starts[index]!;
  }

  end(index: number): number {
    return this.#ends[index]!;
  }

  /** Index of the first mapping that holds `iova` or lies behind it. */
  indexAt(iova: number): number {
    let low = 0;
    for (let high = this.#count; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! <= iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  overlaps(start: number, end: number): boolean {
    const index = this.indexAt(start);
    return index < this.#count && this.#starts[index]! < end;
  }

  /** Adds a mapping that overlaps no other. */
  insert(start: number, end: number): void {
    const index = this.indexAt(start);
    this.#starts.copyWithin(index + 1, index, this.#count);
    this.#ends.copyWithin(index + 1, index, this.#count);
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.#count++;
  }

  remove(index: number, count: number): void {
    this.#starts.copyWithin(index, index + count, this.#count);
    this.#ends.copyWithin(index, index + count, this.#count);
    this.#count -= count;
  }
}
