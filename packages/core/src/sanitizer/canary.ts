import type { GuestMemory } from '../memory/guest-memory.ts';

/** A canary of fewer bytes would be met by chance; a status, and what a driver presets in one, is left alone too. */
export const LEAST_CANARY = 8;

/**
 * Bytes that nobody can guess, planted where a device is to write: if they still stand when it says that it wrote, it did not. A device
 * may not read them (specification 1.4 section 2.7.5.1), and the driver never sees them: what was there before comes back wherever
 * the device left them.
 */
export class Canary {
  readonly #memory: GuestMemory;
  readonly #seed: number;
  readonly #before: Uint8Array;

  /** Plants `length` bytes at `address`. The same `seed` makes the same bytes. */
  constructor(memory: GuestMemory, address: number, length: number, seed: number) {
    this.#memory = memory;
    this.#seed = seed;
    this.#before = memory.u8.slice(address, address + length);
    for (let i = 0; i < length; i++) memory.u8[address + i] = this.#byte(i);
  }

  /**
   * Whether all of the first `written` bytes at `address` still stand: there, or where they were copied to. Then, and wherever they
   * stand behind what was written, they are taken away.
   */
  collect(address: number, written: number): boolean {
    const { u8 } = this.#memory;
    const { length } = this.#before;
    let end = length;
    while (end > 0 && this.#stands(address, end - 1)) end--;
    let intact = 0;
    while (intact < written && this.#stands(address, intact)) intact++;
    const stands = written >= LEAST_CANARY && intact === written;
    // A run at the end of what is said to be written that is too long for chance was not: used lengths are not always believed.
    const rest = written - end >= LEAST_CANARY ? end : written;
    for (let i = stands ? 0 : rest; i < length; i++) if (this.#stands(address, i)) u8[address + i] = this.#before[i]!;
    return stands;
  }

  #stands(address: number, i: number): boolean {
    return this.#memory.u8[address + i] === this.#byte(i);
  }

  /** Of a word for each four: the finalizer of MurmurHash3. */
  #byte(i: number): number {
    let word = (this.#seed + (i >>> 2)) | 0;
    word = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35);
    return ((word ^ (word >>> 16)) >>> ((i & 3) * 8)) & 0xff;
  }
}
