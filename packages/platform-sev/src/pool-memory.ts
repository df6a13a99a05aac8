import { DmaError } from '@virtio-platform/core';
import { PAGE_SIZE, RangeAllocator, type GuestMemory, type SharedPageAllocator } from '@virtio-platform/core/memory';

/**
 * The one range of memory that a device may reach: rings and bounce slots come from this pool, as in Linux with a
 * restricted-dma-pool (`swiotlb_alloc`). The range is allocated when it is first needed.
 */
export class PoolMemory {
  readonly #memory: GuestMemory;
  readonly #shared: SharedPageAllocator;
  readonly #bytes: number;
  #base = -1;
  #allocator: RangeAllocator | undefined;

  /** The range has `bytes` and is allocated from `shared`, which makes it reachable for the device. */
  constructor(memory: GuestMemory, shared: SharedPageAllocator, bytes: number) {
    this.#memory = memory;
    this.#shared = shared;
    this.#bytes = bytes;
  }

  /** Allocates zeroed memory. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  allocate(length: number, alignment: number): number {
    const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const address = this.#open().tryAllocate(bytes, Math.max(alignment, PAGE_SIZE));
    if (address < 0) {
      throw new DmaError('ERR_DMA_EXHAUSTED', `${bytes} bytes do not fit in a restricted pool of ${this.#bytes}`, {
        hint: 'enlarge platform.pool: rings come from it, and the slots that buffers are copied through',
      });
    }
    this.#memory.u8.fill(0, address, address + bytes);
    return address;
  }

  free(address: number): void {
    this.#allocator?.free(address);
  }

  /** Frees the range, so that the device no longer reaches it. */
  dispose(): void {
    if (this.#allocator !== undefined) this.#shared.free(this.#base);
    this.#allocator = undefined;
  }

  #open(): RangeAllocator {
    if (this.#allocator !== undefined) return this.#allocator;
    this.#base = this.#shared.allocate(this.#bytes, PAGE_SIZE);
    return (this.#allocator = new RangeAllocator('restricted pool', this.#base, this.#bytes));
  }
}
