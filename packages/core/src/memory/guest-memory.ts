import { checkMemorySize, MOST_MEMORY, MOST_SHARED_MEMORY, RING_REACH } from './memory-size.ts';
import { RangeAllocator, type FreeRun, type TakenRange } from './range-allocator.ts';
import { wideBytes } from './wide-bytes.ts';

/** Bytes of a page, the unit in which machines share, convert and translate guest memory. */
export const PAGE_SIZE = 4096;

/** The first address that takes more than 32 bits. */
const HIGH_MEMORY = 2 ** 32;

/**
 * The guest's memory as its driver sees it: one run of bytes from guest-physical address 0, and typed views of all of
 * it. A machine may have a hole in it, of which nothing is allocated. Shared ring fields are accessed through the
 * views of their own width, so that a polling peer never sees them torn. Page 0 is never allocated: a legacy queue at
 * page frame 0 means "no queue".
 */
export class GuestMemory {
  readonly buffer: ArrayBufferLike;
  readonly size: number;
  /** All bytes. Where this Node has no byte array of this size, see {@link wideBytes}. */
  readonly u8: Uint8Array;
  /** The 16-bit fields of rings: of all memory, or of what is below {@link RING_REACH}. */
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  /** For private fields in another byte order or without alignment; never for fields that a ring shares. */
  readonly view: DataView;
  readonly #allocator: RangeAllocator;
  readonly #hole: TakenRange | undefined;
  /** By address: how often an allocation is withheld, and whether it waits to be freed. */
  readonly #withheld = new Map<number, { times: number; isFreed: boolean }>();

  /**
   * Wraps `buffer`, whose length is a multiple of {@link PAGE_SIZE}. The caller keeps owning it. Nothing is allocated
   * below `reserved`, a multiple of the page size: a machine may have firmware there. In `hole`, whole pages, the guest
   * has no memory, as at the addresses of a PC's devices below 4 GiB. Throws {@link CodedError} `ERR_MACHINE_MEMORY`
   * where this Node has no arrays of this length.
   */
  constructor(buffer: ArrayBufferLike, reserved: number = PAGE_SIZE, hole?: TakenRange) {
    if (buffer.byteLength === 0 || buffer.byteLength % PAGE_SIZE !== 0) {
      throw new RangeError(`guest memory is a multiple of ${PAGE_SIZE} bytes, not ${buffer.byteLength}`);
    }
    checkMemorySize(buffer.byteLength, MOST_SHARED_MEMORY);
    this.buffer = buffer;
    this.size = buffer.byteLength;
    this.u8 = buffer.byteLength <= MOST_MEMORY ? new Uint8Array(buffer) : wideBytes(buffer);
    this.u16 = new Uint16Array(buffer, 0, Math.min(buffer.byteLength, RING_REACH) / 2);
    this.u32 = new Uint32Array(buffer);
    this.view = new DataView(buffer);
    this.#hole = hole;
    const bytes = buffer.byteLength - reserved;
    this.#allocator = new RangeAllocator('guest memory', reserved, bytes, hole, 'raise machine.memory');
  }

  /** Bytes that are allocated. */
  get allocated(): number {
    return this.#allocator.taken;
  }

  /** The runs that were never allocated, in address order. Cold. */
  get untouched(): readonly Readonly<FreeRun>[] {
    return this.#allocator.untouched;
  }

  /** Whether `[address, address + length)` lies inside, and not in the hole. */
  contains(address: number, length: number): boolean {
    const hole = this.#hole;
    if (!(address >= 0 && length >= 0 && address + length <= this.size)) return false;
    return hole === undefined || address + length <= hole.address || address >= hole.address + hole.length;
  }

  /**
   * Allocates `length` bytes below the address `below`, zeroed. Memory above 4 GiB goes first where there is some, as
   * in Linux, which saves the lower addresses for devices that reach no others. Throws {@link DmaError}
   * `ERR_DMA_EXHAUSTED`.
   */
  allocate(length: number, alignment: number = PAGE_SIZE, below: number = this.size): number {
    const isHigh = this.size > HIGH_MEMORY && below > HIGH_MEMORY;
    const high = isHigh ? this.#allocator.tryAllocate(length, alignment, HIGH_MEMORY, below) : -1;
    const address =
      high >= 0 ? high : this.#allocator.allocate(length, alignment, 0, below < this.size ? below : Infinity);
    this.u8.fill(0, address, address + length);
    return address;
  }

  /** The allocation that contains `address`; `undefined` where there is none. Cold. */
  allocationAt(address: number): TakenRange | undefined {
    return this.#allocator.rangeAt(address);
  }

  /**
   * Frees memory that `allocate` returned; what is withheld is free only after its restore. Throws `RangeError` for any
   * other address.
   */
  free(address: number): void {
    const withheld = this.#withheld.get(address);
    if (withheld === undefined) return this.#allocator.free(address);
    if (withheld.isFreed) throw new RangeError(`guest memory: 0x${address.toString(16)} was freed already`);
    withheld.isFreed = true;
  }

  /**
   * Withholds the allocation that contains `address`: a device may still reach it, so that `free` does not let anything
   * else be allocated there before as many calls of {@link restore}. Cold.
   */
  withhold(address: number): void {
    const start = this.allocationAt(address)?.address;
    if (start === undefined) return;
    const withheld = this.#withheld.get(start);
    if (withheld === undefined) this.#withheld.set(start, { times: 1, isFreed: false });
    else withheld.times++;
  }

  /** Undoes one call of {@link withhold}: the device was taken this memory after all. Cold. */
  restore(address: number): void {
    const start = this.allocationAt(address)?.address;
    const withheld = start === undefined ? undefined : this.#withheld.get(start);
    if (start === undefined || withheld === undefined || --withheld.times > 0) return;
    this.#withheld.delete(start);
    if (withheld.isFreed) this.#allocator.free(start);
  }
}
