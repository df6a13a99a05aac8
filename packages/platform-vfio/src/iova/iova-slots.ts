/**
 * A ring of equal pieces of I/O virtual address space, one for each mapping that can be live at once. A piece is used again
 * only after all others: a device that holds on to an old address meets nothing there, instead of the next request.
 * Hot: no allocation.
 */
export class IovaSlots {
  readonly base: number;
  readonly slotBytes: number;
  /** How many pieces there are. */
  readonly count: number;
  readonly #ring: Uint32Array;
  #first = 0;
  #free: number;

  constructor(base: number, slotBytes: number, count: number) {
    this.base = base;
    this.slotBytes = slotBytes;
    this.#ring = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.#ring[i] = i;
    this.count = count;
    this.#free = count;
  }

  /** Takes the piece that was unused longest and returns its address, or -1 when none is left. */
  take(): number {
    if (this.#free === 0) return -1;
    const slot = this.#ring[this.#first]!;
    this.#first = this.#first + 1 === this.#ring.length ? 0 : this.#first + 1;
    this.#free--;
    return this.base + slot * this.slotBytes;
  }

  /** Puts back what `take` returned, behind all others. */
  give(iova: number): void {
    this.#ring[(this.#first + this.#free) % this.#ring.length] = (iova - this.base) / this.slotBytes;
    this.#free++;
  }
}
