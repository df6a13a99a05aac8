import { swap16, swap32, type ByteOrder } from './ring-format.ts';

/** This marks a buffer as continuing via the `next` field. Specification 1.4 section 2.7.5. */
export const VIRTQ_DESC_F_NEXT = 1;
/** This marks a buffer as device write-only (otherwise device read-only). */
export const VIRTQ_DESC_F_WRITE = 2;
/** This means the buffer contains a table of descriptors. */
export const VIRTQ_DESC_F_INDIRECT = 4;
/**
 * Bytes of one descriptor: le64 addr, le32 len, le16 flags, le16 next. In a packed ring the last two are id and flags.
 */
export const DESCRIPTOR_SIZE = 16;

/**
 * Writes what a descriptor says of a segment, the device address in two words and the length, to three words from
 * `words[at]` on. Hot.
 */
export function writeSegment(words: Uint32Array, at: number, low: number, high: number, length: number): void {
  words[at] = low;
  words[at + 1] = high;
  words[at + 2] = length;
}

/** Two views of the same memory, in which a table of descriptors lies. */
interface DescriptorMemory {
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
}

/**
 * A table of split descriptors: the queue's own, or an indirect one. Each field is one aligned access.
 * Specification 1.4 section 2.7.5. This class is little-endian. Hot: no allocation.
 */
export class DescriptorTable {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #base16: number;
  readonly #base32: number;

  /** The table starts at byte `offset` (a multiple of 4) of the memory under both views. */
  constructor(memory: DescriptorMemory, offset: number) {
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#base16 = offset / 2 + 6;
    this.#base32 = offset / 4;
  }

  write(index: number, low: number, high: number, length: number, flags: number, next: number): void {
    const at = this.#base32 + index * 4;
    this.#u32[at] = low;
    this.#u32[at + 1] = high;
    this.#u32[at + 2] = length;
    this.#u32[at + 3] = flags | (next << 16);
  }

  low(index: number): number {
    return this.#u32[this.#base32 + index * 4]!;
  }

  high(index: number): number {
    return this.#u32[this.#base32 + index * 4 + 1]!;
  }

  length(index: number): number {
    return this.#u32[this.#base32 + index * 4 + 2]!;
  }

  flags(index: number): number {
    return this.#u16[this.#base16 + index * 8]!;
  }

  next(index: number): number {
    return this.#u16[this.#base16 + index * 8 + 1]!;
  }

  /** Flags in the low half and next in the high one, in one access. */
  flagsAndNext(index: number): number {
    return this.#u32[this.#base32 + index * 4 + 3]!;
  }
}

/** A table with the bytes of every field swapped; a 64-bit address also swaps its words. */
class BigEndianDescriptorTable extends DescriptorTable {
  override write(index: number, low: number, high: number, length: number, flags: number, next: number): void {
    super.write(index, swap32(high), swap32(low), swap32(length), swap16(flags), swap16(next));
  }

  override low(index: number): number {
    return swap32(super.high(index));
  }

  override high(index: number): number {
    return swap32(super.low(index));
  }

  override length(index: number): number {
    return swap32(super.length(index));
  }

  override flags(index: number): number {
    return swap16(super.flags(index));
  }

  override next(index: number): number {
    return swap16(super.next(index));
  }

  override flagsAndNext(index: number): number {
    const word = super.flagsAndNext(index);
    return (swap16(word & 0xffff) | (swap16(word >>> 16) << 16)) >>> 0;
  }
}

/** Opens the table at byte `offset` (a multiple of 4) of the memory under both views. */
export function openDescriptorTable(order: ByteOrder, memory: DescriptorMemory, offset: number): DescriptorTable {
  return order === 'little' ? new DescriptorTable(memory, offset) : new BigEndianDescriptorTable(memory, offset);
}
