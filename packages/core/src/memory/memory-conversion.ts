import { DmaError } from '../errors/coded-error.ts';
import { PAGE_SIZE, type GuestMemory } from './guest-memory.ts';
import { LeakLog } from './leak-log.ts';

/**
 * Converts guest pages between private (only the guest sees them) and shared (devices see them too). The content of
 * converted pages need not be preserved. All memory starts private. Compare Linux `set_memory_decrypted` and
 * `uv_share_page`.
 */
export interface MemoryConversion {
  /**
   * `address` and `length` are multiples of the page size. Returns false when the host refused; the state of the pages
   * is then unknown and the memory must not be used again.
   */
  setShared(address: number, length: number): boolean;
  /** The same in the other direction. */
  setPrivate(address: number, length: number): boolean;
}

/** Throws `RangeError` for a conversion of anything but one or more whole pages of guest memory. */
export function checkConversion({ size }: Pick<GuestMemory, 'size'>, address: number, length: number): void {
  const isPages = address % PAGE_SIZE === 0 && length % PAGE_SIZE === 0 && length > 0;
  if (isPages && address >= 0 && address + length <= size) return;
  throw new RangeError(`cannot convert ${length} bytes at 0x${address.toString(16)}: not whole pages of guest memory`);
}

/**
 * Allocates guest memory that devices can read: whole pages, converted to shared, and back to private when they are
 * freed. Pages whose conversion the host refused are in an unknown state and are never used again, as in Linux
 * `dma_direct_free`.
 */
export class SharedPageAllocator {
  readonly #memory: GuestMemory;
  readonly #conversion: MemoryConversion;
  /** Pages whose conversion the host refused. */
  readonly leaks: LeakLog;
  readonly #granule: number;
  readonly #lengths = new Map<number, number>();

  /**
   * `leaks` is the log of the platform; one of its own unless given. `granule` is the bytes that are converted at once,
   * a power of two and a multiple of the page size.
   */
  constructor(
    memory: GuestMemory,
    conversion: MemoryConversion,
    leaks: LeakLog = new LeakLog(),
    granule: number = PAGE_SIZE,
  ) {
    this.#granule = granule;
    this.#memory = memory;
    this.#conversion = conversion;
    this.leaks = leaks;
  }

  /**
   * Allocates zeroed shared memory below the address `below`. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, also when
   * the host refuses.
   */
  allocate(length: number, alignment: number, below?: number): number {
    const bytes = Math.ceil(length / this.#granule) * this.#granule;
    const address = this.#memory.allocate(bytes, Math.max(alignment, this.#granule), below);
    if (!this.#conversion.setShared(address, bytes)) {
      this.leaks.record({ what: 'pages in an unknown state: the host refused to share them', address, length: bytes });
      throw new DmaError(
        'ERR_DMA_EXHAUSTED',
        `the host refused to share ${bytes} bytes at 0x${address.toString(16)} with devices; ` +
          'these pages are not used any more',
        { hint: 'look at the host: it is short of memory, or it is stopping this guest' },
      );
    }
    // The guest would read the old content as ciphertext, and so would the device.
    this.#memory.u8.fill(0, address, address + bytes);
    this.#lengths.set(address, bytes);
    return address;
  }

  /**
   * Frees memory that `allocate` returned. The device must not use it any more. Throws `RangeError` for any other
   * address.
   */
  free(address: number): void {
    const bytes = this.#lengths.get(address);
    if (bytes === undefined) throw new RangeError(`0x${address.toString(16)} is not a shared allocation`);
    this.#lengths.delete(address);
    if (this.#conversion.setPrivate(address, bytes)) this.#memory.free(address);
    else this.leaks.record({ what: 'pages that the host refused to make private again', address, length: bytes });
  }
}
