import {
  checkConversion,
  type GuestMemory,
  type MemoryConversion,
  type PageStates,
} from '@virtio-platform/core/memory';

/**
 * Pages that a device may reach or not, without encryption: the firewall around a restricted-dma-pool, or the
 * hypervisor of pKVM, which maps pages into the host or takes them away (MEM_SHARE, MEM_UNSHARE). Their content stays.
 */
export class SharedGranules implements MemoryConversion {
  readonly #memory: GuestMemory;
  readonly #states: PageStates;
  readonly #granule: number;
  #sharesLeft: number;

  /**
   * `granule` is the bytes that are shared at once, a multiple of 4 KiB; anything else is refused. `shares` is how many
   * ranges may be shared until the end.
   */
  constructor(memory: GuestMemory, states: PageStates, granule: number, shares: number = Infinity) {
    this.#memory = memory;
    this.#states = states;
    this.#granule = granule;
    this.#sharesLeft = shares;
  }

  setShared(address: number, length: number): boolean {
    if (this.#sharesLeft === 0 || !this.#isWhole(address, length)) return false;
    this.#sharesLeft--;
    this.#states.setAll(address, length, true);
    return true;
  }

  setPrivate(address: number, length: number): boolean {
    if (!this.#isWhole(address, length)) return false;
    this.#states.setAll(address, length, false);
    return true;
  }

  #isWhole(address: number, length: number): boolean {
    checkConversion(this.#memory, address, length);
    return address % this.#granule === 0 && length % this.#granule === 0;
  }
}
