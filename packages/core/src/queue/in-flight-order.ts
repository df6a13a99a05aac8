/**
 * What a device with IN_ORDER has to remember: which buffers it popped, in order, and how much room each has. Buffers go back in
 * that order, and a used entry may stand for several only where all but the last were filled completely (specification 1.4
 * sections 2.7.9 and 2.8.8). Hot: no allocation.
 */
export class InFlightOrder {
  readonly #ids: Uint16Array;
  readonly #room: Float64Array;
  #oldest = 0;
  #count = 0;

  constructor(size: number) {
    this.#ids = new Uint16Array(size);
    this.#room = new Float64Array(size);
  }

  /** Remembers a buffer that was popped, with room for `writable` bytes. */
  add(id: number, writable: number): void {
    const at = (this.#oldest + this.#count) % this.#ids.length;
    this.#ids[at] = id;
    this.#room[at] = writable;
    this.#count++;
  }

  /** Ids and rooms, oldest first. Cold. */
  entries(): { readonly id: number; readonly room: number }[] {
    return Array.from({ length: this.#count }, (_, i) => {
      const at = (this.#oldest + i) % this.#ids.length;
      return { id: this.#ids[at]!, room: this.#room[at]! };
    });
  }

  /** Takes the oldest buffer, which has to be `id`, and returns whether `written` fills it. Throws `RangeError` for another. */
  take(id: number, written: number): boolean {
    if (this.#count === 0 || this.#ids[this.#oldest] !== id)
      throw new RangeError(`buffer ${id} is not the next in order`);
    const isFull = written === this.#room[this.#oldest];
    this.#oldest = this.#oldest + 1 === this.#ids.length ? 0 : this.#oldest + 1;
    this.#count--;
    return isFull;
  }
}
