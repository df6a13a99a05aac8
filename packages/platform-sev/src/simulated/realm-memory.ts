import {
  checkConversion,
  type GuestMemory,
  type MemoryConversion,
  type PageStates,
} from '@virtio-platform/core/memory';

/**
 * The memory of a realm of Arm CCA as its guest sees it. A page is in the protected half of the intermediate physical
 * addresses, or in the shared half at its alias, whose top bit is set. RSI_IPA_STATE_SET moves granules: the memory of
 * the other half is not the same, so what was in a page is gone both ways.
 */
export class RealmMemory implements MemoryConversion {
  readonly #memory: GuestMemory;
  readonly #states: PageStates;
  readonly #granule: number;

  /** `granule` is the bytes that the guest converts at once, a multiple of 4 KiB. */
  constructor(memory: GuestMemory, states: PageStates, granule: number) {
    this.#memory = memory;
    this.#states = states;
    this.#granule = granule;
  }

  setShared(address: number, length: number): boolean {
    return this.#convert(address, length, true);
  }

  setPrivate(address: number, length: number): boolean {
    return this.#convert(address, length, false);
  }

  #convert(address: number, length: number, toShared: boolean): boolean {
    checkConversion(this.#memory, address, length);
    if (address % this.#granule !== 0 || length % this.#granule !== 0) return false;
    this.#states.setAll(address, length, toShared);
    this.#memory.u8.fill(0, address, address + length);
    return true;
  }
}
