import { checkSyncRange, type DmaDirection } from './dma-region.ts';

const MAX_CAPACITY = 0x10_0000;

/**
 * The live mappings of one {@link DmaMapping}: gives each a single-use id and keeps its address, length and direction
 * in private memory. An id is the slot in its low bits and a generation above them, so an id that is used again differs
 * from the id of the slot's next mapping. Hot: no allocation.
 */
export class MappingTable {
  readonly capacity: number;
  readonly address: Float64Array;
  readonly length: Float64Array;
  readonly direction: Uint8Array;
  /** A number for the mapping's own use, such as a bounce slot or a table index. */
  readonly tag: Float64Array;
  /** By slot: the id of its live mapping; of a free slot the complement of the id that it gives next. */
  readonly #id: Int32Array;
  readonly #free: Uint32Array;
  /** The bits of an id that are the slot. */
  readonly #slotMask: number;
  #freeCount: number;

  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
      throw new RangeError(`a mapping table holds 1 to ${MAX_CAPACITY} mappings, not ${capacity}`);
    }
    this.capacity = capacity;
    this.address = new Float64Array(capacity);
    this.length = new Float64Array(capacity);
    this.direction = new Uint8Array(capacity);
    this.tag = new Float64Array(capacity);
    this.#id = Int32Array.from({ length: capacity }, (_, slot) => ~slot);
    this.#free = Uint32Array.from({ length: capacity }, (_, i) => capacity - 1 - i);
    this.#slotMask = 2 ** Math.ceil(Math.log2(capacity)) - 1;
    this.#freeCount = capacity;
  }

  get live(): number {
    return this.capacity - this.#freeCount;
  }

  /** Takes a slot, with its `tag`, and returns its id, or -1 when the table is full. */
  open(address: number, length: number, direction: DmaDirection, tag: number = 0): number {
    if (this.#freeCount === 0) return -1;
    const slot = this.#free[--this.#freeCount]!;
    const id = ~this.#id[slot]!;
    this.#id[slot] = id;
    this.address[slot] = address;
    this.length[slot] = length;
    this.direction[slot] = direction;
    this.tag[slot] = tag;
    return id;
  }

  /** The slot of a live id. Throws `RangeError` for an id that was never given, or that was already unmapped. */
  slotOf(id: number): number {
    const slot = id & this.#slotMask;
    if (!(id >= 0) || this.#id[slot] !== id) throw new RangeError(`mapping ${id} is not live`);
    return slot;
  }

  /** The slot of a live id, for a sync of part of it. Throws `RangeError` also for bytes outside of the mapping. */
  checkedSlot(id: number, offset: number, length: number): number {
    const slot = this.slotOf(id);
    checkSyncRange(offset, length, this.length[slot]!);
    return slot;
  }

  /** Frees a slot; its id is not valid again before its generations have run out. */
  close(slot: number): void {
    this.#id[slot] = ~((this.#id[slot]! + this.#slotMask + 1) & 0x7fff_ffff);
    this.#free[this.#freeCount++] = slot;
  }

  /** The live ids. Cold. */
  *liveIds(): Generator<number> {
    for (const id of this.#id) if (id >= 0) yield id;
  }
}
