import { DmaError } from '@virtio-platform/core';
import {
  deviceAddressOffset,
  DMA_NO_SPACE,
  DMA_UNREACHABLE,
  writeDeviceAddress,
  ZeroCopyDmaMapping,
  type AddressStep,
  type DmaDirection,
} from '@virtio-platform/core/dma';
import { formatByteSize, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import { ENOMEM, ENOSPC } from './container/errno.ts';
import type { IovaSpace, MappingSlots } from './iova/iova-space.ts';
import type { KeptMapping } from './iova/keep-over-exec.ts';
import type { VfioOptions } from './options.ts';

/**
 * Longest buffer that one `map` takes. Each mapping has as much address space of its own, so the size is no larger than
 * needed.
 */
const MAX_MAPPING_SIZE = 2 ** 20;

const WORD = 0x1_0000_0000;

/** What a {@link VfioDmaMapping} may be told. */
export interface VfioDmaMappingOptions {
  /** Gets what the kernel does not unmap. */
  readonly leaks?: LeakLog | undefined;
  /** What becomes of a buffer that does not fill whole pages; `widen` unless given. */
  readonly partialPages?: VfioOptions['partialPages'] | undefined;
}

/**
 * Maps process memory at I/O virtual addresses, through any kind of container. Each `map` is a system call, which is
 * why drivers premap. The IOMMU works in pages: a device also reaches the neighbours of a buffer in its first and last
 * page. So coherent memory fills whole pages, and pools of buffers should begin at a page too.
 */
export class VfioDmaMapping extends ZeroCopyDmaMapping {
  readonly #iovas: IovaSpace;
  readonly #pageSize: number;
  /** The bits of an address inside of a page, which is a power of two of bytes. */
  readonly #inPage: number;
  readonly #slots: MappingSlots;
  readonly #refusesPartialPages: boolean;
  /** The regions, by the I/O virtual address of their first page. */
  readonly #pinned = new Map<number, { readonly address: number; readonly length: number }>();
  /** Bytes that the device reaches beside its buffers, now and at most. */
  #beside = 0;
  #mostBeside = 0;
  #isOpen = true;

  /**
   * Reserves addresses for `capacity` mappings, or for as many as there are addresses for. Throws {@link DmaError} when
   * there are no addresses.
   */
  constructor(
    memory: GuestMemory,
    iovas: IovaSpace,
    capacity: number,
    { leaks, partialPages = 'widen' }: VfioDmaMappingOptions = {},
  ) {
    const { pageSize } = iovas;
    // One page more, for a buffer that begins in the middle of a page.
    const slots = iovas.openSlots(Math.ceil(MAX_MAPPING_SIZE / pageSize) * pageSize + pageSize, capacity);
    const limits = {
      addressBits: iovas.addressBits,
      maxMappingSize: Math.min(MAX_MAPPING_SIZE, slots.slotBytes - pageSize),
      alignment: 1,
      boundary: Infinity,
      maxMappings: slots.count,
      granule: pageSize,
    };
    // The device is given whole pages, and the last bytes of memory may be less.
    const reach = Math.floor(memory.size / pageSize) * pageSize;
    super({ path: 'translated', limits, capacity, reach, coherentUnit: pageSize, coherent: memory, leaks });
    this.#iovas = iovas;
    this.#pageSize = pageSize;
    this.#inPage = pageSize - 1;
    this.#slots = slots;
    this.#refusesPartialPages = partialPages === 'refuse';
  }

  /** Bytes beside its buffers that the device could reach at once, at most: what shares a page with one of them. */
  get mostBeside(): number {
    return this.#mostBeside;
  }

  /** What is mapped, as the container knows it. */
  keptMappings(): KeptMapping[] {
    const { table } = this;
    const kept: KeptMapping[] = [];
    for (const id of table.liveIds()) {
      const slot = table.slotOf(id);
      kept.push(this.#kept(table.address[slot]!, table.tag[slot]!, table.length[slot]!));
    }
    for (const [iova, { address, length }] of this.#pinned) kept.push(this.#kept(address, iova, length));
    return kept;
  }

  /** By the records of this mapping: a container does not tell what is mapped in it. */
  resolve(low: number, high: number): number {
    const { table } = this;
    for (const id of table.liveIds()) {
      const slot = table.slotOf(id);
      const address = table.address[slot]!;
      const iova = table.tag[slot]!;
      const inPage = address & this.#inPage;
      const offset = deviceAddressOffset(low, high, iova % WORD, Math.floor(iova / WORD));
      if (offset >= 0 && offset < this.#wholePages(inPage + table.length[slot]!)) return address - inPage + offset;
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
    const inPage = address & this.#inPage;
    const size = this.#wholePages(inPage + length);
    if (size !== length && this.#refusesPartialPages) return DMA_UNREACHABLE;
    const iova = this.#slots.map(address - inPage, size, direction);
    if (iova >= 0) {
      this.#addBeside(size - length);
      return iova;
    }
    return iova === ENOMEM || iova === ENOSPC ? DMA_NO_SPACE : DMA_UNREACHABLE;
  }

  protected unmapPages(iova: number, address: number, length: number, free: () => void): boolean {
    const size = this.#wholePages((address & this.#inPage) + length);
    const isUnmapped = this.#slots.unmap(iova, size);
    if (!isUnmapped) return false;
    this.#beside -= size - length;
    free();
    return true;
  }

  protected writePlace(iova: number, address: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(address & this.#inPage, iova >>> 0, Math.floor(iova / WORD), words, at);
  }

  /**
   * Maps whole pages: the device also reaches what else lies in the first and the last one. Throws {@link DmaError},
   * `ERR_DMA_RANGE` where partial pages are to be refused.
   */
  protected override mapRegion(address: number, length: number, direction: DmaDirection, alignment: number): number {
    const inPage = address & this.#inPage;
    const size = this.#wholePages(inPage + length);
    if (size !== length && this.#refusesPartialPages) throw partialPageError(address, length, this.#pageSize);
    const iova = this.#iovas.pin(address - inPage, size, Math.max(alignment, this.#pageSize), direction);
    this.#pinned.set(iova, { address, length });
    this.#addBeside(size - length);
    return iova;
  }

  /** Memory that the kernel did not unmap is not freed: a device may still reach it. */
  protected override unmapRegion(iova: number, address: number, length: number, free: () => void): boolean {
    const size = this.#wholePages((address & this.#inPage) + length);
    const isUnmapped = this.#iovas.unpin(iova, size);
    if (!isUnmapped) return false;
    this.#pinned.delete(iova);
    this.#beside -= size - length;
    free();
    return true;
  }

  protected override keptReason(iova: number): string {
    return `the kernel did not unmap I/O virtual address 0x${iova.toString(16)}`;
  }

  protected override coherentBytes(length: number, alignment: number): number {
    return this.#iovas.coherentBytes(length, alignment);
  }

  #addBeside(bytes: number): void {
    this.#beside += bytes;
    if (this.#beside > this.#mostBeside) this.#mostBeside = this.#beside;
  }

  #kept(address: number, iova: number, length: number): KeptMapping {
    const inPage = address & this.#inPage;
    return { address: address - inPage, iova, size: this.#wholePages(inPage + length) };
  }

  /** Never called: `pin` throws the errors of regions itself. */
  protected regionError(reason: number, length: number): DmaError {
    throw new TypeError(`pin returned ${reason} for ${length} bytes`);
  }

  /** Rounds up to pages, without a division. */
  #wholePages(bytes: number): number {
    const over = bytes & this.#inPage;
    return over === 0 ? bytes : bytes + this.#pageSize - over;
  }
}

function partialPageError(address: number, length: number, pageSize: number): DmaError {
  const page = formatByteSize(pageSize);
  const what = `${length} bytes at 0x${address.toString(16)} do not fill whole pages of ${page}`;
  return new DmaError('ERR_DMA_RANGE', `${what}: the device would also reach what lies beside them`, {
    hint: `map memory that begins at a multiple of ${page} and ends at one, or platform.partialPages: widen`,
  });
}
