import { DmaError } from '@virtio-platform/core';
import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DMA_UNREACHABLE,
  DmaDirection,
  MappingTable,
  type DmaLimits,
  type DmaMapping,
  type DmaPath,
  type DmaRegion,
  type DmaStatistics,
} from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ENOMEM, ENOSPC } from './container/errno.ts';
import { iovaOffset } from './iova/iova-offset.ts';
import type { IovaSpace, MappingSlots } from './iova/iova-space.ts';
import { PinnedRegion } from './iova/pinned-region.ts';
import { writeIova } from './iova/write-iova.ts';

/** Longest buffer that one `map` takes. Each mapping has so much address space of its own, so it is not larger than needed. */
const MAX_MAPPING_SIZE = 2 ** 20;

/**
 * Maps process memory at I/O virtual addresses, through whatever kind of container. Each `map` is a system call, which is why
 * drivers premap. The IOMMU works in pages: everything else in the pages of a buffer becomes visible to the device with it.
 * So what this class allocates fills whole pages, and pools of buffers should begin at a page too.
 */
export class VfioDmaMapping implements DmaMapping {
  readonly path: DmaPath = 'translated';
  readonly barrier = undefined;
  readonly limits: DmaLimits;
  readonly #memory: GuestMemory;
  readonly #iovas: IovaSpace;
  readonly #pageSize: number;
  readonly #slots: MappingSlots;
  readonly #table: MappingTable;
  readonly #regions = new Set<PinnedRegion>();
  #maps = 0;
  #unmaps = 0;
  #isOpen = true;

  /** Makes room for `capacity` mappings, or for as many as the addresses suffice. Throws {@link DmaError} for none. */
  constructor(memory: GuestMemory, iovas: IovaSpace, capacity: number) {
    this.#memory = memory;
    this.#iovas = iovas;
    this.#pageSize = iovas.pageSize;
    this.#table = new MappingTable(capacity);
    // One page more: a buffer need not begin at one.
    this.#slots = iovas.openSlots(this.#pagesOf(MAX_MAPPING_SIZE) + iovas.pageSize, capacity);
    this.limits = {
      addressBits: iovas.addressBits,
      maxMappingSize: Math.min(MAX_MAPPING_SIZE, this.#slots.slotBytes - iovas.pageSize),
      alignment: 1,
      boundary: Infinity,
      maxMappings: this.#slots.count,
    };
  }

  get statistics(): DmaStatistics {
    return {
      maps: this.#maps,
      unmaps: this.#unmaps,
      bytesBounced: 0,
      live: this.#table.live + this.#regions.size,
    };
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!this.#memory.contains(address, length)) return DMA_UNREACHABLE;
    if (length > this.limits.maxMappingSize) return DMA_TOO_LARGE;
    const id = this.#table.open(address, length, direction);
    if (id < 0) return DMA_NO_SPACE;
    const slot = id % this.#table.capacity;
    const offset = address % this.#pageSize;
    const iova = this.#slots.map(address - offset, this.#pagesOf(offset + length), direction);
    if (iova < 0) {
      this.#table.close(slot);
      return iova === ENOMEM || iova === ENOSPC ? DMA_NO_SPACE : DMA_UNREACHABLE;
    }
    this.#table.tag[slot] = iova;
    this.#maps++;
    writeIova(iova, offset, words, at);
    return id;
  }

  unmap(id: number, _written: number): void {
    const slot = this.#table.slotOf(id);
    const offset = this.#table.address[slot]! % this.#pageSize;
    this.#slots.unmap(this.#table.tag[slot]!, this.#pagesOf(offset + this.#table.length[slot]!));
    this.#table.close(slot);
    this.#unmaps++;
  }

  syncForCpu(id: number, _offset: number, _length: number): void {
    this.#table.slotOf(id);
  }

  syncForDevice(id: number, _offset: number, _length: number): void {
    this.#table.slotOf(id);
  }

  /** Maps whole pages: what else lies in the first and the last one is the device's to see, or to overwrite, as well. */
  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!(length > 0) || !this.#memory.contains(address, length)) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: outside guest memory`,
      );
    }
    const offset = address % this.#pageSize;
    const size = this.#pagesOf(offset + length);
    const iova = this.#iovas.pin(address - offset, size, this.#pageSize, direction);
    return this.#open(address, length, direction, iova, () => this.#iovas.unpin(iova, size));
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    const size = this.#iovas.coherentBytes(length, alignment);
    const wholePages = Math.max(alignment, this.#pageSize);
    const address = this.#memory.allocate(size, wholePages);
    let iova: number;
    try {
      iova = this.#iovas.pin(address, size, wholePages, DmaDirection.Bidirectional);
    } catch (error) {
      this.#memory.free(address);
      throw error;
    }
    return this.#open(address, length, DmaDirection.Bidirectional, iova, () => {
      if (this.#iovas.unpin(iova, size)) this.#memory.free(address);
    });
  }

  /** By what this mapping has mapped: a container does not tell what is in it. */
  resolve(low: number, high: number): number {
    for (const id of this.#table.liveIds()) {
      const slot = this.#table.slotOf(id);
      const inPage = this.#table.address[slot]! % this.#pageSize;
      const offset = iovaOffset(this.#table.tag[slot]!, low, high);
      if (offset >= 0 && offset < this.#pagesOf(inPage + this.#table.length[slot]!))
        return this.#table.address[slot]! - inPage + offset;
    }
    for (const region of this.#regions) {
      const offset = region.offsetOf(low, high);
      if (offset >= 0 && offset < region.length) return region.address + offset;
    }
    return -1;
  }

  dispose(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const region of this.#regions) region.release();
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
    this.#slots.close();
  }

  #open(address: number, length: number, direction: DmaDirection, iova: number, unpin: () => void): DmaRegion {
    const place = { iova, inPage: address % this.#pageSize };
    const region = new PinnedRegion(address, length, direction, place, () => {
      if (!this.#regions.delete(region)) throw new RangeError('this DMA region was already released');
      this.#unmaps++;
      unpin();
    });
    this.#regions.add(region);
    this.#maps++;
    return region;
  }

  #pagesOf(bytes: number): number {
    return Math.ceil(bytes / this.#pageSize) * this.#pageSize;
  }
}
