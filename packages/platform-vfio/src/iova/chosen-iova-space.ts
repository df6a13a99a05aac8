import { DmaError } from '@virtio-platform/core';
import type { DmaDirection } from '@virtio-platform/core/dma';
import { RangeAllocator } from '@virtio-platform/core/memory';
import { ENOSPC } from '../container/errno.ts';
import { VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE } from '../container/type1-container.ts';
import type { DmaWindow } from './dma-window.ts';
import { IovaSlots } from './iova-slots.ts';
import type { IovaSpace, MappingSlots } from './iova-space.ts';

/** What the device may do with a mapping, by {@link DmaDirection}. */
const FLAGS = [
  VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
] as const;

/** A buffer can begin in one page and end in the next. */
const LEAST_PAGES = 2;

/** Addresses that the process chooses, as containers leave it to do. */
export class ChosenIovaSpace implements IovaSpace {
  readonly pageSize: number;
  readonly addressBits: number;
  readonly #window: DmaWindow;
  readonly #ranges: readonly { readonly end: number; readonly allocator: RangeAllocator }[];
  #pinnedBytes = 0;
  #leakedBytes = 0;

  /** Uses addresses from `start` on, or all. Throws {@link DmaError} `ERR_DMA_RANGE` when the window has none there. */
  constructor(window: DmaWindow, start = 0) {
    const { pageSize, ranges } = window;
    const usable = ranges.filter((range) => range.start + range.size > start);
    if (usable.length === 0 || start % pageSize !== 0) throw startError(start, window);
    this.pageSize = pageSize;
    this.#window = window;
    this.#ranges = usable.map((range) => {
      const first = Math.max(range.start, start);
      const end = range.start + range.size;
      return { end, allocator: new RangeAllocator('I/O virtual addresses', first, end - first) };
    });
    this.addressBits = Math.ceil(Math.log2(this.#ranges.at(-1)!.end));
  }

  get pinnedBytes(): number {
    return this.#pinnedBytes;
  }

  get leakedBytes(): number {
    return this.#leakedBytes;
  }

  coherentBytes(length: number, _alignment: number): number {
    return Math.ceil(length / this.pageSize) * this.pageSize;
  }

  pin(address: number, size: number, alignment: number, direction: DmaDirection): number {
    const iova = this.reserve(size, alignment);
    const errno = this.map(address, iova, size, direction);
    if (errno === 0) return iova;
    this.giveBack(iova);
    throw this.#window.explain({ errno, address, iova, size, pinnedBytes: this.#pinnedBytes });
  }

  unpin(iova: number, size: number): boolean {
    if (!this.unmap(iova, size)) return false;
    this.giveBack(iova);
    return true;
  }

  openSlots(slotBytes: number, count: number): MappingSlots {
    const largestFree = Math.max(...this.#ranges.map(({ allocator }) => allocator.largestFree));
    // A small window has to do for pools and rings as well, and for other queues.
    const pages = Math.floor(largestFree / 2 / this.pageSize);
    const bytes = Math.min(slotBytes, Math.max(Math.floor(pages / count), LEAST_PAGES) * this.pageSize);
    const many = Math.max(1, Math.min(count, Math.floor((pages * this.pageSize) / bytes)));
    return new ChosenSlots(this, new IovaSlots(this.reserve(bytes * many, this.pageSize), bytes, many));
  }

  close(): void {
    this.#window.close();
  }

  /** Takes `size` bytes of address space; nothing is mapped there. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  reserve(size: number, alignment: number): number {
    for (const { allocator } of this.#ranges) {
      const iova = allocator.tryAllocate(size, alignment);
      if (iova >= 0) return iova;
    }
    // Fails again, and says by how much.
    return this.#ranges.at(-1)!.allocator.allocate(size, alignment);
  }

  giveBack(iova: number): void {
    this.#ranges.find(({ end }) => iova < end)!.allocator.free(iova);
  }

  /** Maps at a reserved address. Returns 0 or a negated errno. Hot: no allocation. */
  map(address: number, iova: number, size: number, direction: DmaDirection): number {
    const result = this.#window.map(address, iova, size, FLAGS[direction]);
    if (result === 0) this.#pinnedBytes += size;
    return result;
  }

  /** Unmaps exactly what was mapped. Hot: no allocation. */
  unmap(iova: number, size: number): boolean {
    if (!this.#window.unmap(iova, size)) {
      this.#leakedBytes += size;
      return false;
    }
    this.#pinnedBytes -= size;
    return true;
  }
}

/** A piece of address space for each mapping that a queue can have. */
class ChosenSlots implements MappingSlots {
  readonly slotBytes: number;
  readonly count: number;
  readonly #space: ChosenIovaSpace;
  readonly #slots: IovaSlots;
  #hasLeaked = false;

  constructor(space: ChosenIovaSpace, slots: IovaSlots) {
    this.slotBytes = slots.slotBytes;
    this.count = slots.count;
    this.#space = space;
    this.#slots = slots;
  }

  map(address: number, size: number, direction: DmaDirection): number {
    const iova = this.#slots.take();
    if (iova < 0) return ENOSPC;
    const failure = this.#space.map(address, iova, size, direction);
    if (failure === 0) return iova;
    this.#slots.give(iova);
    return failure;
  }

  unmap(iova: number, size: number): void {
    // An address that the kernel still maps is not used again.
    if (this.#space.unmap(iova, size)) this.#slots.give(iova);
    else this.#hasLeaked = true;
  }

  close(): void {
    if (!this.#hasLeaked) this.#space.giveBack(this.#slots.base);
  }
}

function startError(start: number, { ranges, pageSize }: DmaWindow): DmaError {
  const usable = ranges
    .map((range) => `0x${range.start.toString(16)}..0x${lastAddress(range).toString(16)}`)
    .join(', ');
  return new DmaError(
    'ERR_DMA_RANGE',
    `platform.iovaStart 0x${start.toString(16)} cannot be used: the container has ${usable}`,
    {
      hint: `leave iovaStart out, or choose a multiple of ${pageSize} inside`,
    },
  );
}

/** Exact also above 2^53. */
function lastAddress({ start, size }: DmaWindow['ranges'][number]): bigint {
  return BigInt(start) + BigInt(size) - 1n;
}
