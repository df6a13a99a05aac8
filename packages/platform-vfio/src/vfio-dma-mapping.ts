import type { DmaError } from '@virtio-platform/core';
import {
  deviceAddressOffset,
  DMA_NO_SPACE,
  DMA_UNREACHABLE,
  writeDeviceAddress,
  ZeroCopyDmaMapping,
  type AddressStep,
  type DmaDirection,
} from '@virtio-platform/core/dma';
import type { GuestMemory, LeakLog } from '@virtio-platform/core/memory';
import { ENOMEM, ENOSPC } from './container/errno.ts';
import type { IovaSpace, MappingSlots } from './iova/iova-space.ts';

/**
 * Longest buffer that one `map` takes. Each mapping has as much address space of its own, so the size is no larger than
 * needed.
 */
const MAX_MAPPING_SIZE = 2 ** 20;

const WORD = 0x1_0000_0000;

/**
 * Maps process memory at I/O virtual addresses, through any kind of container. Each `map` is a system call, which is
 * why drivers premap. The IOMMU works in pages: a device also reaches the neighbours of a buffer in its first and last
 * page. So coherent memory fills whole pages, and pools of buffers should begin at a page too.
 */
export class VfioDmaMapping extends ZeroCopyDmaMapping {
  readonly #iovas: IovaSpace;
  readonly #pageSize: number;
  readonly #slots: MappingSlots;
  #isOpen = true;

  /**
   * Reserves addresses for `capacity` mappings, or for as many as there are addresses for. `leaks` gets what
   * the kernel does not unmap. Throws {@link DmaError} when there are no addresses.
   */
  constructor(memory: GuestMemory, iovas: IovaSpace, capacity: number, leaks?: LeakLog) {
    const { pageSize } = iovas;
    // One page more, for a buffer that begins in the middle of a page.
    const slots = iovas.openSlots(wholePages(MAX_MAPPING_SIZE, pageSize) + pageSize, capacity);
    const limits = {
      addressBits: iovas.addressBits,
      maxMappingSize: Math.min(MAX_MAPPING_SIZE, slots.slotBytes - pageSize),
      alignment: 1,
      boundary: Infinity,
      maxMappings: slots.count,
    };
    const reach = memory.size;
    super({ path: 'translated', limits, capacity, reach, coherentUnit: pageSize, coherent: memory, leaks });
    this.#iovas = iovas;
    this.#pageSize = pageSize;
    this.#slots = slots;
  }

  /** By the records of this mapping: a container does not tell what is mapped in it. */
  resolve(low: number, high: number): number {
    const { table } = this;
    for (const id of table.liveIds()) {
      const slot = table.slotOf(id);
      const address = table.address[slot]!;
      const iova = table.tag[slot]!;
      const inPage = address % this.#pageSize;
      const offset = deviceAddressOffset(low, high, iova % WORD, Math.floor(iova / WORD));
      if (offset >= 0 && offset < wholePages(inPage + table.length[slot]!, this.#pageSize))
        return address - inPage + offset;
    }
    for (const region of this.regions) {
      const offset = deviceAddressOffset(low, high, region.deviceLow, region.deviceHigh);
      if (offset >= 0 && offset < region.length) return region.address + offset;
    }
    return -1;
  }

  /** By the same records as {@link resolve}. */
  walk(low: number, high: number): readonly AddressStep[] {
    const address = this.resolve(low, high);
    const says =
      address < 0
        ? 'this process mapped nothing at this I/O virtual address'
        : `this process mapped its memory at 0x${address.toString(16)} there`;
    return [{ table: `VFIO container, pages of 0x${this.#pageSize.toString(16)}`, says }];
  }

  override dispose(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    super.dispose();
    this.#slots.close();
  }

  /** The place is the I/O virtual address of the buffer's first page: above 2^53 a number holds only pages exactly. */
  protected mapPages(address: number, length: number, direction: DmaDirection): number {
    const inPage = address % this.#pageSize;
    const iova = this.#slots.map(address - inPage, wholePages(inPage + length, this.#pageSize), direction);
    if (iova >= 0) return iova;
    return iova === ENOMEM || iova === ENOSPC ? DMA_NO_SPACE : DMA_UNREACHABLE;
  }

  protected unmapPages(iova: number, address: number, length: number, free: () => void): boolean {
    const isUnmapped = this.#slots.unmap(iova, wholePages((address % this.#pageSize) + length, this.#pageSize));
    if (isUnmapped) free();
    return isUnmapped;
  }

  protected writePlace(iova: number, address: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(address % this.#pageSize, iova >>> 0, Math.floor(iova / WORD), words, at);
  }

  /**
   * Maps whole pages: the device also reaches what else lies in the first and the last one. Throws {@link DmaError}.
   */
  protected override mapRegion(address: number, length: number, direction: DmaDirection, alignment: number): number {
    const inPage = address % this.#pageSize;
    const size = wholePages(inPage + length, this.#pageSize);
    return this.#iovas.pin(address - inPage, size, Math.max(alignment, this.#pageSize), direction);
  }

  /** Memory that the kernel did not unmap is not freed: a device may still reach it. */
  protected override unmapRegion(iova: number, address: number, length: number, free: () => void): boolean {
    const isUnmapped = this.#iovas.unpin(iova, wholePages((address % this.#pageSize) + length, this.#pageSize));
    if (isUnmapped) free();
    return isUnmapped;
  }

  protected override keptReason(iova: number): string {
    return `the kernel did not unmap I/O virtual address 0x${iova.toString(16)}`;
  }

  protected override coherentBytes(length: number, alignment: number): number {
    return this.#iovas.coherentBytes(length, alignment);
  }

  /** Never called: `pin` throws the errors of regions itself. */
  protected regionError(reason: number, length: number): DmaError {
    throw new TypeError(`pin returned ${reason} for ${length} bytes`);
  }
}

function wholePages(bytes: number, pageSize: number): number {
  return Math.ceil(bytes / pageSize) * pageSize;
}
