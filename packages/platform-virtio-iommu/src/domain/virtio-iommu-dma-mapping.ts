import { DmaError } from '@virtio-platform/core';
import {
  DMA_TOO_LARGE,
  DMA_UNREACHABLE,
  writeDeviceAddress,
  ZeroCopyDmaMapping,
  type AddressStep,
  type DmaDirection,
} from '@virtio-platform/core/dma';
import { formatByteSize, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import type { TranslatedDomain } from './translated-domain.ts';

/**
 * The mapping of a queue in a translated domain. As in Linux (dma-iommu) the whole pages of a buffer are mapped and the
 * buffer keeps its offset in its page, so the device also reaches the neighbours of a buffer in its first and last
 * page. Coherent memory fills whole pages.
 */
export class VirtioIommuDmaMapping extends ZeroCopyDmaMapping {
  readonly #domain: TranslatedDomain;

  /** `capacity` is how many mappings can live at once. The mapping does not own the domain and the log. */
  constructor(memory: GuestMemory, domain: TranslatedDomain, capacity: number, leaks?: LeakLog) {
    const { granule, pages } = domain;
    const end = (pages.first + pages.count) * granule;
    const limits = {
      addressBits: Math.max(32, Math.ceil(Math.log2(end))),
      // One page less than the longest run, for a buffer that begins in the middle of a page.
      maxMappingSize: (pages.count - 1) * granule,
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
    };
    const reach = Math.floor(memory.size / granule) * granule;
    super({ path: 'translated', limits, capacity, reach, coherentUnit: granule, coherent: memory, leaks });
    this.#domain = domain;
  }

  resolve(low: number, high: number): number {
    return this.#domain.resolve(low, high);
  }

  walk(low: number, high: number): readonly AddressStep[] {
    return this.#domain.walk(low, high);
  }

  /** The place is the first I/O virtual page. */
  protected mapPages(address: number, length: number, direction: DmaDirection, alignment: number): number {
    return this.#domain.map(address, length, direction, alignment);
  }

  protected unmapPages(page: number, address: number, length: number, free: () => void): boolean {
    const count = this.#domain.pageCount(address, length);
    if (this.#domain.unmap(page, count)) {
      free();
      return true;
    }
    this.#domain.keep(page, count, free);
    return false;
  }

  protected writePlace(page: number, address: number, words: Uint32Array, at: number): void {
    const { granule } = this.#domain;
    writeDeviceAddress(page * granule + (address % granule), 0, 0, words, at);
  }

  protected override keptReason(page: number): string {
    return `the unit did not unmap I/O virtual page 0x${page.toString(16)}`;
  }

  protected override reclaim(): boolean {
    return this.#domain.reclaim();
  }

  protected override get takenPages(): number {
    return this.#domain.pages.takenCount;
  }

  protected regionError(reason: number, length: number): DmaError {
    const { pages, granule, keptBytes } = this.#domain;
    if (reason === DMA_TOO_LARGE) {
      const most = formatByteSize(this.limits.maxMappingSize);
      return new DmaError('ERR_DMA_RANGE', `virtio-iommu: ${length} bytes are more than the ${most} of one mapping`, {
        hint: 'raise platform.aperture, or map the memory in parts',
      });
    }
    if (reason === DMA_UNREACHABLE)
      return new DmaError('ERR_DMA_EXHAUSTED', `virtio-iommu: the unit does not map ${length} bytes`, {
        hint: 'the unit refused the MAP request, or it does not answer any more',
      });
    const kept = keptBytes === 0 ? '' : `, ${keptBytes / granule} of them because the unit does not unmap them`;
    return new DmaError(
      'ERR_DMA_EXHAUSTED',
      `virtio-iommu: no room for ${length} bytes; ${pages.takenCount} of ${pages.count} I/O virtual pages are taken${kept}`,
      { hint: 'raise platform.aperture or platform.unit.mappings, or ask for less (a smaller queue or depth)' },
    );
  }
}
