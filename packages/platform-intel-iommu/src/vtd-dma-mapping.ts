import { DmaError } from '@virtio-platform/core';
import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DMA_UNREACHABLE,
  DmaDirection,
  MappingTable,
  type DmaLimits,
  type DmaMapping,
  type DmaRegion,
  type DmaStatistics,
} from '@virtio-platform/core/dma';
import { formatByteSize, PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { MappedRegion } from './mapped-region.ts';
import { pageCount, type TranslatedDomain } from './translated-domain.ts';
import { writeIova } from './write-iova.ts';

/**
 * The mapping of a queue in a translated domain. As in Linux (dma-iommu) the whole pages of a buffer are mapped and its place in them is
 * kept, so that neighbours in its first and last page are the device's to reach too; what this class allocates fills whole pages.
 */
export class VtdDmaMapping implements DmaMapping {
  readonly path = 'translated';
  readonly limits: DmaLimits;
  readonly barrier = undefined;
  readonly #memory: GuestMemory;
  readonly #domain: TranslatedDomain;
  /** `tag` is the first I/O virtual page. */
  readonly #table: MappingTable;
  readonly #regions = new Set<MappedRegion>();
  #maps = 0;
  #unmaps = 0;
  /** Given back by their owners, and not taken from the device: live until that is confirmed. */
  #kept = 0;

  /** `capacity` is how many mappings can live at once. The domain stays its owner's. */
  constructor(memory: GuestMemory, domain: TranslatedDomain, capacity: number) {
    this.#memory = memory;
    this.#domain = domain;
    this.#table = new MappingTable(capacity);
    this.limits = {
      addressBits: 32,
      // A buffer need not begin at a page. Lengths are 32 bits.
      maxMappingSize: (domain.pages.longestRun - 1) * PAGE_SIZE,
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
    };
  }

  get statistics(): DmaStatistics {
    const live = this.#table.live + this.#regions.size + this.#kept;
    return { maps: this.#maps, unmaps: this.#unmaps, bytesBounced: 0, live };
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (!this.#memory.contains(address, length)) return DMA_UNREACHABLE;
    if (length > this.limits.maxMappingSize) return DMA_TOO_LARGE;
    if (this.#table.live === this.#table.capacity) return DMA_NO_SPACE;
    const page = this.#domain.map(address, length, direction, 1);
    if (page < 0) return page;
    const id = this.#table.open(address, length, direction);
    this.#table.tag[this.#table.slotOf(id)] = page;
    this.#maps++;
    writeIova(page, address % PAGE_SIZE, words, at);
    return id;
  }

  unmap(id: number, _written: number): void {
    const slot = this.#table.slotOf(id);
    const page = this.#table.tag[slot]!;
    const count = pageCount(this.#table.address[slot]!, this.#table.length[slot]!);
    this.#table.close(slot);
    if (this.#domain.unmap(page, count)) this.#unmaps++;
    else this.#keep(page, count, () => {});
    if (this.#kept > 0) this.#reclaim();
  }

  syncForCpu(id: number, _offset: number, _length: number): void {
    this.#table.slotOf(id);
  }

  syncForDevice(id: number, _offset: number, _length: number): void {
    this.#table.slotOf(id);
  }

  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!this.#memory.contains(address, length) || !(length > 0)) {
      throw new DmaError(
        'ERR_DMA_RANGE',
        `cannot map ${length} bytes at 0x${address.toString(16)}: outside guest memory`,
      );
    }
    return this.#open({ address, length, direction }, 1, () => {});
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const address = this.#memory.allocate(bytes, Math.max(alignment, PAGE_SIZE));
    const free = (): void => this.#memory.free(address);
    const { takenCount } = this.#domain.pages;
    try {
      return this.#open({ address, length, direction: DmaDirection.Bidirectional }, alignment, free);
    } catch (error) {
      // Pages that were kept may still lead to it.
      if (this.#domain.pages.takenCount === takenCount) free();
      throw error;
    }
  }

  /** The guest-physical address that a device address leads to at this moment; -1 for none, or where nobody can tell any more. Cold. */
  resolve(low: number, high: number): number {
    return this.#domain.resolve(low, high);
  }

  dispose(): void {
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
    for (const region of this.#regions) region.release();
  }

  #open(
    memory: { readonly address: number; readonly length: number; readonly direction: DmaDirection },
    alignment: number,
    free: () => void,
  ): DmaRegion {
    const { address, length, direction } = memory;
    const page =
      length > this.limits.maxMappingSize ? DMA_TOO_LARGE : this.#domain.map(address, length, direction, alignment);
    if (page < 0) throw this.#regionError(page, length);
    const count = pageCount(address, length);
    const region = new MappedRegion(memory, { page, inPage: address % PAGE_SIZE }, () => {
      if (!this.#regions.delete(region)) throw new RangeError('this DMA region was already released');
      if (this.#domain.unmap(page, count)) {
        this.#unmaps++;
        free();
      } else this.#keep(page, count, free);
      if (this.#kept > 0) this.#reclaim();
    });
    this.#regions.add(region);
    this.#maps++;
    return region;
  }

  #keep(page: number, count: number, free: () => void): void {
    this.#kept++;
    this.#domain.keep(page, count, free);
  }

  /** Once the queue has given back everything, its ring too, it is worth dropping all that the unit has cached. Cold. */
  #reclaim(): void {
    if (this.#table.live > 0 || this.#regions.size > 0 || !this.#domain.reclaim()) return;
    this.#unmaps += this.#kept;
    this.#kept = 0;
  }

  #regionError(reason: number, length: number): DmaError {
    const { pages } = this.#domain;
    if (reason === DMA_TOO_LARGE) {
      const most = formatByteSize(this.limits.maxMappingSize);
      return new DmaError(
        'ERR_DMA_RANGE',
        `intel-iommu: ${length} bytes are more than the ${most} of one mapping here`,
        {
          hint: 'raise platform.aperture, or map it in parts',
        },
      );
    }
    const { keptBytes } = this.#domain;
    const kept =
      keptBytes === 0 ? '' : `, ${keptBytes / PAGE_SIZE} of them because the unit does not confirm an invalidation`;
    return new DmaError(
      'ERR_DMA_EXHAUSTED',
      `intel-iommu: no room for ${length} bytes; ${pages.takenCount} of ${pages.count} I/O virtual pages are taken${kept}`,
      { hint: 'raise platform.aperture or memory, or ask for less (a smaller queue or depth)' },
    );
  }
}
