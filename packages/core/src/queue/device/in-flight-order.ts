/**
 * The buffers that a device with IN_ORDER popped, in order, with their writable bytes. The device returns them in that
 * order, and a used entry may stand for several only where all but the last were filled completely (specification 1.4
 * sections 2.7.9 and 2.8.8). So the used entry of the last returned buffer is held back here until another one cannot
 * replace it. Hot: no allocation.
 */
export class InFlightOrder {
  /** The used entry held back: its buffer, or -1 for none. */
  heldId = -1;
  /** The position of the first buffer it stands for, and the bytes written to the last one. */
  heldPosition = 0;
  heldWritten = 0;
  #isHeldFull = false;
  readonly #ids: Uint16Array;
  readonly #writable: Float64Array;
  #oldest = 0;
  #count = 0;

  /** For a queue of `size`. */
  constructor(size: number) {
    this.#ids = new Uint16Array(size);
    this.#writable = new Float64Array(size);
  }

  /** Adds a buffer that was popped, with `writable` bytes that the device may write. */
  add(id: number, writable: number): void {
    const at = (this.#oldest + this.#count) % this.#ids.length;
    this.#ids[at] = id;
    this.#writable[at] = writable;
    this.#count++;
  }

  /** Ids and writable bytes, oldest first. Cold. */
  entries(): { readonly id: number; readonly room: number }[] {
    return Array.from({ length: this.#count }, (_, i) => {
      const at = (this.#oldest + i) % this.#ids.length;
      return { id: this.#ids[at]!, room: this.#writable[at]! };
    });
  }

  /**
   * Takes the oldest buffer, which has to be `id`, and returns whether `written` fills it. Throws `RangeError` for
   * another.
   */
  take(id: number, written: number): boolean {
    if (this.#count === 0 || this.#ids[this.#oldest] !== id)
      throw new RangeError(`buffer ${id} is not the next in order`);
    const isFull = written === this.#writable[this.#oldest];
    this.#oldest = this.#oldest + 1 === this.#ids.length ? 0 : this.#oldest + 1;
    this.#count--;
    return isFull;
  }

  /** Whether a used entry is held back that the next buffer cannot replace, because its last buffer was not filled. */
  get isHeldFinal(): boolean {
    return this.heldId >= 0 && !this.#isHeldFull;
  }

  /** Holds back the used entry of a returned buffer, in the place of the one held before, if any. */
  hold(id: number, position: number, written: number, isFull: boolean): void {
    if (this.heldId < 0) this.heldPosition = position;
    this.heldId = id;
    this.heldWritten = written;
    this.#isHeldFull = isFull;
  }
}
