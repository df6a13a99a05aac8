import { swap16, swap32, type ByteOrder } from './byte-order.ts';

/**
 * A table of split descriptors: the queue's own, or an indirect one. Each field is one aligned access.
 * Specification 1.4 section 2.7.5. Hot: no allocation.
 */
export interface DescriptorTable {
  write(index: number, low: number, high: number, length: number, flags: number, next: number): void;
  low(index: number): number;
  high(index: number): number;
  length(index: number): number;
  flags(index: number): number;
  next(index: number): number;
}

/** Opens the table at byte `offset` (a multiple of 4) of the memory under both views. */
export function openDescriptorTable(
  order: ByteOrder,
  memory: { readonly u16: Uint16Array; readonly u32: Uint32Array },
  offset: number,
): DescriptorTable {
  return order === 'little'
    ? new LittleEndianDescriptorTable(memory, offset)
    : new BigEndianDescriptorTable(memory, offset);
}

class LittleEndianDescriptorTable implements DescriptorTable {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #base16: number;
  readonly #base32: number;

  constructor(memory: { readonly u16: Uint16Array; readonly u32: Uint32Array }, offset: number) {
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
}

/** Every field with its bytes swapped; a 64-bit address also swaps its words. */
class BigEndianDescriptorTable implements DescriptorTable {
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #base16: number;
  readonly #base32: number;

  constructor(memory: { readonly u16: Uint16Array; readonly u32: Uint32Array }, offset: number) {
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#base16 = offset / 2 + 6;
    this.#base32 = offset / 4;
  }

  write(index: number, low: number, high: number, length: number, flags: number, next: number): void {
    const at = this.#base32 + index * 4;
    this.#u32[at] = swap32(high);
    this.#u32[at + 1] = swap32(low);
    this.#u32[at + 2] = swap32(length);
    this.#u16[this.#base16 + index * 8] = swap16(flags);
    this.#u16[this.#base16 + index * 8 + 1] = swap16(next);
  }

  low(index: number): number {
    return swap32(this.#u32[this.#base32 + index * 4 + 1]!);
  }

  high(index: number): number {
    return swap32(this.#u32[this.#base32 + index * 4]!);
  }

  length(index: number): number {
    return swap32(this.#u32[this.#base32 + index * 4 + 2]!);
  }

  flags(index: number): number {
    return swap16(this.#u16[this.#base16 + index * 8]!);
  }

  next(index: number): number {
    return swap16(this.#u16[this.#base16 + index * 8 + 1]!);
  }
}
