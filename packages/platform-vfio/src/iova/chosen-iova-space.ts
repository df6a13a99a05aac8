import { DmaError } from '@virtio-platform/core';
import type { DmaDirection } from '@virtio-platform/core/dma';
import { RangeAllocator } from '@virtio-platform/core/memory';
import { ENOSPC } from '../container/errno.ts';
import { VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE } from '../container/vfio-container.ts';
import type { IovaWindow } from './iova-window.ts';
import type { IovaSpace, MappingSlots } from './iova-space.ts';

/** What the device may do with a mapping, by {@link DmaDirection}. */
const FLAGS = [
  VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
] as const;

/** Least pages of a slot: a buffer can begin in one page and end in the next. */
const LEAST_PAGES = 2;

/** I/O virtual addresses that the process chooses, as VFIO containers require. */
export class ChosenIovaSpace implements IovaSpace {
  readonly pageSize: number;
  readonly addressBits: number;
  readonly ranges: IovaSpace['ranges'];
  readonly #window: IovaWindow;
  readonly #ranges: readonly { readonly end: number; readonly allocator: RangeAllocator }[];
  #pinnedBytes = 0;

  /**
   * Uses addresses from `start` on, below `behind`. Throws {@link DmaError} `ERR_DMA_RANGE` when the window has none
   * there.
   */
  constructor(window: IovaWindow, start: number = 0, behind: number = Infinity) {
    const { pageSize, ranges } = window;
    const usable = ranges.filter((range) => range.start + range.size > start && range.start < behind);
    if (usable.length === 0 || start % pageSize !== 0) throw startError(start, behind, window);
    this.pageSize = pageSize;
    this.#window = window;
    this.ranges = usable.map((range) => {
      const first = Math.max(range.start, start);
      return { start: first, size: Math.min(range.start + range.size, behind) - first };
    });
    const more = [
      window.more,
      ...(start > 0 ? ['lower platform.iovaStart'] : []),
      ...(behind < Infinity ? ['have the device take more bits (device.dmaBits)'] : []),
    ].join(', or ');
    this.#ranges = this.ranges.map(({ start: first, size }) => ({
      end: first + size,
      allocator: new RangeAllocator('I/O virtual addresses', first, size, undefined, more),
    }));
    this.addressBits = Math.ceil(Math.log2(this.#ranges.at(-1)!.end));
  }

  get pinnedBytes(): number {
    return this.#pinnedBytes;
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
    // Half of a small window stays free for pools, rings and other queues.
    const pages = Math.floor(largestFree / 2 / this.pageSize);
    const bytes = Math.min(slotBytes, Math.max(Math.floor(pages / count), LEAST_PAGES) * this.pageSize);
    const many = Math.max(1, Math.min(count, Math.floor((pages * this.pageSize) / bytes)));
    return new ChosenSlots(this, new IovaSlots(this.reserve(bytes * many, this.pageSize), bytes, many));
  }

  close(): void {
    this.#window.close();
  }

  /** Reserves `size` bytes of address space without mapping. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  reserve(size: number, alignment: number): number {
    for (const { allocator } of this.#ranges) {
      const iova = allocator.tryAllocate(size, alignment);
      if (iova >= 0) return iova;
    }
    // Throws the error, which says how much is missing.
    return this.#ranges.at(-1)!.allocator.allocate(size, alignment);
  }

  /** Frees addresses that {@link reserve} returned. */
  giveBack(iova: number): void {
    this.#ranges.find(({ end }) => iova < end)!.allocator.free(iova);
  }

  /** Maps at reserved addresses. Returns 0 or a negated errno. Hot: no allocation. */
  map(address: number, iova: number, size: number, direction: DmaDirection): number {
    const result = this.#window.map(address, iova, size, FLAGS[direction]);
    if (result === 0) this.#pinnedBytes += size;
    return result;
  }

  /** Unmaps exactly one mapping; returns false when the kernel did not unmap it. Hot: no allocation. */
  unmap(iova: number, size: number): boolean {
    if (!this.#window.unmap(iova, size)) return false;
    this.#pinnedBytes -= size;
    return true;
  }
}

/** One slot of address space for each mapping that a queue can have. */
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

  unmap(iova: number, size: number): boolean {
    const isUnmapped = this.#space.unmap(iova, size);
    // The kernel still maps this address, so it is not used again.
    if (isUnmapped) this.#slots.give(iova);
    else this.#hasLeaked = true;
    return isUnmapped;
  }

  close(): void {
    if (!this.#hasLeaked) this.#space.giveBack(this.#slots.base);
  }
}

function startError(start: number, behind: number, { ranges, pageSize }: IovaWindow): DmaError {
  const usable = ranges
    .map((range) => `0x${range.start.toString(16)}..0x${lastAddress(range).toString(16)}`)
    .join(', ');
  if (start < behind && ranges.every((range) => range.start >= behind)) {
    const bits = `the device takes ${Math.log2(behind)} bits (device.dmaBits)`;
    const hint = 'use a container whose addresses begin lower, or a device that takes more bits';
    return new DmaError('ERR_DMA_RANGE', `${bits}, and the container has ${usable}`, { hint });
  }
  return new DmaError(
    'ERR_DMA_RANGE',
    `platform.iovaStart 0x${start.toString(16)} cannot be used: the container has ${usable}`,
    {
      hint: `leave iovaStart out, or choose a multiple of ${pageSize} inside`,
    },
  );
}

/** Last address of a range, exact also above 2^53. */
function lastAddress({ start, size }: IovaWindow['ranges'][number]): bigint {
  return BigInt(start) + BigInt(size) - 1n;
}

/**
 * A ring of equal slots of I/O virtual address space, one for each mapping that can exist at the same time. A slot is
 * reused only after all others: a device that still uses an old address then faults there, and does not reach the next
 * request. Hot: no allocation.
 */
export class IovaSlots {
  readonly base: number;
  readonly slotBytes: number;
  /** Number of slots. */
  readonly count: number;
  readonly #ring: Uint32Array;
  #first = 0;
  #free: number;

  constructor(base: number, slotBytes: number, count: number) {
    this.base = base;
    this.slotBytes = slotBytes;
    this.#ring = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.#ring[i] = i;
    this.count = count;
    this.#free = count;
  }

  /** Takes the slot that was unused longest and returns its address, or -1 when none is free. */
  take(): number {
    if (this.#free === 0) return -1;
    const slot = this.#ring[this.#first]!;
    this.#first = this.#first + 1 === this.count ? 0 : this.#first + 1;
    this.#free--;
    return this.base + slot * this.slotBytes;
  }

  /** Frees the slot at an address that `take` returned; all other free slots are taken before it. */
  give(iova: number): void {
    const behind = this.#first + this.#free;
    this.#ring[behind < this.count ? behind : behind - this.count] = (iova - this.base) / this.slotBytes;
    this.#free++;
  }
}
