import { DmaError } from '../errors/coded-error.ts';
import { PAGE_SIZE, type GuestMemory } from './guest-memory.ts';
import type { MemoryConversion } from './memory-conversion.ts';

/**
 * Allocates guest memory that devices can read: whole pages, converted to shared, and back to private when they are freed.
 * Pages whose conversion the host refused are in an unknown state and are never used again, as in Linux `dma_direct_free`.
 */
export class SharedMemory {
  readonly #memory: GuestMemory;
  readonly #conversion: MemoryConversion;
  readonly #lengths = new Map<number, number>();
  #leakedBytes = 0;

  constructor(memory: GuestMemory, conversion: MemoryConversion) {
    this.#memory = memory;
    this.#conversion = conversion;
  }

  /** Bytes given up because the host refused to convert them. */
  get leakedBytes(): number {
    return this.#leakedBytes;
  }

  /** Allocates zeroed shared memory. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, also when the host refuses. */
  allocate(length: number, alignment: number): number {
    const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const address = this.#memory.allocate(bytes, Math.max(alignment, PAGE_SIZE));
    if (!this.#conversion.setShared(address, bytes)) {
      this.#leakedBytes += bytes;
      throw new DmaError(
        'ERR_DMA_EXHAUSTED',
        `the host refused to share ${bytes} bytes at 0x${address.toString(16)} with devices; these pages are not used any more`,
        { hint: 'look at the host: it is short of memory, or it is stopping this guest' },
      );
    }
    // The guest sees its old contents as ciphertext, and the device would too.
    this.#memory.u8.fill(0, address, address + bytes);
    this.#lengths.set(address, bytes);
    return address;
  }

  /** Takes back what `allocate` returned. The device must not use it any more. */
  free(address: number): void {
    const bytes = this.#lengths.get(address);
    if (bytes === undefined) throw new RangeError(`0x${address.toString(16)} is no shared allocation`);
    this.#lengths.delete(address);
    if (this.#conversion.setPrivate(address, bytes)) this.#memory.free(address);
    else this.#leakedBytes += bytes;
  }
}
