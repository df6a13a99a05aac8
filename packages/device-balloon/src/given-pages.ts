/** The pages of 4096 bytes that a driver gave to the balloon, by their numbers. */
export class GivenPages {
  #bits = new Uint32Array(0);
  #count = 0;

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** Forgets all of them. */
  clear(): void {
    this.#bits.fill(0);
    this.#count = 0;
  }

  /** Makes room for `pages` page numbers from 0 on. */
  reserve(pages: number): void {
    if (this.#bits.length * 32 >= pages) return;
    const before = this.#bits;
    this.#bits = new Uint32Array(Math.ceil(pages / 32));
    this.#bits.set(before);
  }

  /** Whether a page is there. Hot. */
  has(page: number): boolean {
    return ((this.#bits[page >>> 5] ?? 0) & (1 << (page & 31))) !== 0;
  }

  /** Adds a page that there is room for. Returns whether it was not there before. Hot. */
  add(page: number): boolean {
    if (this.has(page)) return false;
    this.#bits[page >>> 5]! |= 1 << (page & 31);
    this.#count++;
    return true;
  }

  /** Takes a page out. Returns whether it was there. Hot. */
  delete(page: number): boolean {
    if (!this.has(page)) return false;
    this.#bits[page >>> 5]! &= ~(1 << (page & 31));
    this.#count--;
    return true;
  }
}
