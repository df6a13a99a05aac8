import type { CoherentMemory } from '@virtio-platform/core/dma';
import { PAGE_SIZE, RangeAllocator, type GuestMemory, type SharedPageAllocator } from '@virtio-platform/core/memory';

/**
 * Memory for rings that is shared with devices ahead of its use, as the pools of Linux are that serve an allocation
 * which cannot wait (kernel/dma/pool.c). It doubles where there is no room, and never shrinks.
 */
export class CoherentPool implements CoherentMemory {
  readonly #memory: GuestMemory;
  readonly #shared: SharedPageAllocator;
  readonly #parts: { readonly base: number; readonly bytes: number; readonly ranges: RangeAllocator }[] = [];
  /** Bytes that the next part has at least. */
  #next: number;

  /** The first part has `bytes`, a multiple of a page, and is shared when it is first needed. */
  constructor(memory: GuestMemory, shared: SharedPageAllocator, bytes: number) {
    this.#memory = memory;
    this.#shared = shared;
    this.#next = bytes;
  }

  /** Bytes of all parts. */
  get bytes(): number {
    return this.#parts.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Allocates zeroed memory below the address `below`. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, also when the host
   * refuses to share it.
   */
  allocate(length: number, alignment: number, below: number = Infinity): number {
    const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const unit = Math.max(alignment, PAGE_SIZE);
    for (const { ranges } of this.#parts) {
      const address = ranges.tryAllocate(bytes, unit, 0, below);
      if (address < 0) continue;
      this.#memory.u8.fill(0, address, address + bytes);
      return address;
    }
    this.#add(Math.max(this.#next, bytes), unit, below);
    return this.allocate(length, alignment, below);
  }

  /** Frees what {@link allocate} returned. Throws `RangeError` for any other address. */
  free(address: number): void {
    const part = this.#parts.find(({ base, bytes }) => address >= base && address < base + bytes);
    if (part === undefined) throw new RangeError(`0x${address.toString(16)} is not in the coherent pool`);
    part.ranges.free(address);
  }

  /** Makes all of it private again. */
  dispose(): void {
    for (const { base } of this.#parts.splice(0)) this.#shared.free(base);
  }

  #add(bytes: number, alignment: number, below: number): void {
    const base = this.#shared.allocate(bytes, alignment, below < Infinity ? below : undefined);
    this.#parts.push({ base, bytes, ranges: new RangeAllocator('coherent pool', base, bytes) });
    this.#next = this.bytes;
  }
}
