import { DmaError } from '@virtio-platform/core';
import type { BouncePools, CoherentMemory } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';

/**
 * Rings in the one pool that the device reaches, beside the slots of buffers, as in Linux with a restricted-dma-pool
 * (`swiotlb_alloc`): whole pages, and at most the 256 KiB of a segment.
 */
export class RestrictedMemory implements CoherentMemory {
  readonly #memory: GuestMemory;
  readonly #pools: BouncePools;
  readonly #lengths = new Map<number, number>();

  constructor(memory: GuestMemory, pools: BouncePools) {
    this.#memory = memory;
    this.#pools = pools;
  }

  /** Allocates zeroed memory. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  allocate(length: number, alignment: number): number {
    const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const address = this.#pools.takeAligned(bytes, Math.max(alignment, PAGE_SIZE));
    if (address < 0) {
      const { slots, used } = this.#pools.statistics;
      throw new DmaError(
        'ERR_DMA_EXHAUSTED',
        `a restricted pool of ${slots} slots, ${used} of them in use, has no ${bytes} bytes in one piece`,
        {
          hint:
            'a piece has at most 256KiB, rings and buffers share the pool: enlarge platform.pool, or ask for less (a ' +
            'smaller queue or depth)',
        },
      );
    }
    this.#lengths.set(address, bytes);
    this.#memory.u8.fill(0, address, address + bytes);
    return address;
  }

  /** Frees what {@link allocate} returned. Throws `RangeError` for any other address. */
  free(address: number): void {
    const bytes = this.#lengths.get(address);
    if (bytes === undefined) throw new RangeError(`0x${address.toString(16)} is not in use in the restricted pool`);
    this.#lengths.delete(address);
    this.#pools.give(address, bytes);
  }
}
