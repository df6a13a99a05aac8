import { isCodedError } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';

/**
 * Pages of the guest that a driver and its workload have taken from guest memory, so that all of them can be given
 * back. Pages are taken one by one or in blocks, as from the page allocator of a kernel.
 */
export class GuestPages {
  /** Bytes of a page of the guest: a multiple of 4096. */
  readonly size: number;
  readonly #memory: GuestMemory;
  readonly #taken = new Set<number>();
  /** Bytes of the shortest block that was not there since the last one was given back. */
  #tooLong = Infinity;
  #takenInAll = 0;

  constructor(memory: GuestMemory, size: number) {
    this.#memory = memory;
    this.size = size;
  }

  /** How often pages were taken. */
  get takenInAll(): number {
    return this.#takenInAll;
  }

  /** Bytes that are free in the guest. */
  get free(): number {
    return this.#memory.size - this.#memory.allocated;
  }

  /** Takes `count` pages in one block, zeroed, and returns the address: -1 where the guest has none. */
  take(count = 1): number {
    const bytes = count * this.size;
    // Guest memory says by an error that it is full: as rarely as can be.
    if (bytes >= this.#tooLong) return -1;
    try {
      const address = this.#memory.allocate(bytes, this.size);
      this.#taken.add(address);
      this.#takenInAll++;
      return address;
    } catch (error) {
      if (!isCodedError(error) || error.code !== 'ERR_DMA_EXHAUSTED') throw error;
      this.#tooLong = bytes;
      return -1;
    }
  }

  /** Gives back a block that was taken, by its address. */
  give(address: number): void {
    this.#taken.delete(address);
    this.#memory.free(address);
    this.#tooLong = Infinity;
  }

  /** Gives back everything that is taken. */
  dispose(): void {
    for (const address of this.#taken) this.#memory.free(address);
    this.#taken.clear();
  }
}
