import type { GuestMemory } from '@virtio-platform/core/memory';

/**
 * The fewest bytes of a canary. Fewer can match by chance, and one byte is often a status that the driver presets.
 */
export const LEAST_CANARY = 8;

/**
 * Pseudo-random bytes where a device is to write: if they are unchanged when the device reports that it wrote, it did
 * not write. A device may not read them (specification 1.4 section 2.7.5.1). The driver never sees them, because the
 * content from before is restored wherever the device left them.
 */
export class Canary {
  readonly #memory: GuestMemory;
  readonly #seed: number;
  readonly #before: Uint8Array;

  /** Writes `length` bytes at `address`, and keeps what was there. The same `seed` makes the same bytes. */
  constructor(memory: GuestMemory, address: number, length: number, seed: number) {
    this.#memory = memory;
    this.#seed = seed;
    this.#before = memory.u8.slice(address, address + length);
    for (let i = 0; i < length; i++) memory.u8[address + i] = this.#byte(i);
  }

  /**
   * Whether all of the first `written` bytes at `address` are unchanged; `address` is that of the canary or of its
   * copy. If so, and behind the bytes that were written, the content from before is restored.
   */
  collect(address: number, written: number): boolean {
    const { u8 } = this.#memory;
    const { length } = this.#before;
    let end = length;
    while (end > 0 && this.#isUnchanged(address, end - 1)) end--;
    let intact = 0;
    while (intact < written && this.#isUnchanged(address, intact)) intact++;
    const isUntouched = written >= LEAST_CANARY && intact === written;
    // A long unchanged run at the end of the reported length was not written: a device may report too much.
    const rest = written - end >= LEAST_CANARY ? end : written;
    for (let i = isUntouched ? 0 : rest; i < length; i++)
      if (this.#isUnchanged(address, i)) u8[address + i] = this.#before[i]!;
    return isUntouched;
  }

  #isUnchanged(address: number, i: number): boolean {
    return this.#memory.u8[address + i] === this.#byte(i);
  }

  /**
   * Byte `i` of the canary: the finalizer of MurmurHash3 makes a word for each four. The top bit is set, so that no
   * status is taken for a byte that was not written: those that devices write are small.
   */
  #byte(i: number): number {
    let word = (this.#seed + (i >>> 2)) | 0;
    word = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35);
    return (((word ^ (word >>> 16)) >>> ((i & 3) * 8)) & 0xff) | 0x80;
  }
}
