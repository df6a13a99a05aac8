/** Which pieces of requests the device has, and whose each is. Hot: no allocation per piece. */
export class PieceTable {
  /** By piece: the slot of its request. */
  readonly slotOf: Uint16Array;
  /** By piece: where its data begins among that of all slots, and how many bytes of it the device writes. */
  readonly dataAt: Uint32Array;
  readonly writable: Uint32Array;
  /** By id of a buffer: its piece. */
  #pieceOf: Uint16Array;
  readonly #free: Uint16Array;
  #freeCount: number;

  /** `pieces` in flight at once, in a queue of `queueSize` entries. */
  constructor(pieces: number, queueSize: number) {
    this.slotOf = new Uint16Array(pieces);
    this.dataAt = new Uint32Array(pieces);
    this.writable = new Uint32Array(pieces);
    this.#pieceOf = new Uint16Array(queueSize);
    this.#free = Uint16Array.from({ length: pieces }, (_, i) => pieces - 1 - i);
    this.#freeCount = pieces;
  }

  /** Pieces that the device does not have. */
  get freeCount(): number {
    return this.#freeCount;
  }

  /** The piece that {@link add} takes next, or -1 where the device has all. Hot. */
  get next(): number {
    return this.#freeCount === 0 ? -1 : this.#free[this.#freeCount - 1]!;
  }

  /** The device has the next piece, as the buffer `id`. Hot. */
  add(id: number, slot: number, dataAt: number, writable: number): void {
    const piece = this.#free[--this.#freeCount]!;
    this.#pieceOf[id] = piece;
    this.slotOf[piece] = slot;
    this.dataAt[piece] = dataAt;
    this.writable[piece] = writable;
  }

  /** The buffer `id` came back. Returns its piece, whose row stays until the next {@link add}. Hot. */
  remove(id: number): number {
    const piece = this.#pieceOf[id]!;
    this.#free[this.#freeCount++] = piece;
    return piece;
  }

  /** The piece of the buffer `id` that came back last, until the next {@link add}. Cold. */
  pieceOfBuffer(id: number): number {
    return this.#pieceOf[id]!;
  }

  /** The slot of the request whose piece is the buffer `id`, which the device has. Cold. */
  slotOfBuffer(id: number): number | undefined {
    const piece = this.#pieceOf[id];
    return piece === undefined ? undefined : this.slotOf[piece];
  }

  /** The queue has another size, and the device no piece. */
  resizeQueue(queueSize: number): void {
    this.#pieceOf = new Uint16Array(queueSize);
  }
}
