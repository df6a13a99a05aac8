import { DmaError } from '@virtio-platform/core';
import {
  DMA_TOO_LARGE,
  writeDeviceAddress,
  ZeroCopyDmaMapping,
  type AddressStep,
  type DmaDirection,
} from '@virtio-platform/core/dma';
import { formatByteSize, PAGE_SIZE, type GuestMemory, type LeakLog } from '@virtio-platform/core/memory';
import { pageCount, type TranslatedDomain } from './translated-domain.ts';
/**
 * The mapping of a queue in a translated domain. As in Linux (dma-iommu) the whole pages of a buffer are mapped and the
 * buffer keeps its offset in its page, so the device also reaches the neighbours of a buffer in its first and last
 * page. Coherent memory fills whole pages.
 */
export class VtdDmaMapping extends ZeroCopyDmaMapping {
  readonly #domain: TranslatedDomain;

  /** `capacity` is how many mappings can live at once. The mapping does not own the domain and the log. */
  constructor(memory: GuestMemory, domain: TranslatedDomain, capacity: number, leaks?: LeakLog) {
    const limits = {
      addressBits: 32,
      // One page less than the longest run, for a buffer that begins in the middle of a page. Lengths are 32 bits.
      maxMappingSize: (domain.pages.count - 1) * PAGE_SIZE,
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
    };
    const reach = memory.size;
    super({ path: 'translated', limits, capacity, reach, coherentUnit: PAGE_SIZE, coherent: memory, leaks });
    this.#domain = domain;
  }

  /** Returns -1 also where the unit may still use an old translation. */
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
    const count = pageCount(address, length);
    if (this.#domain.unmap(page, count)) {
      free();
      return true;
    }
    this.#domain.keep(page, count, free);
    return false;
  }

  protected writePlace(page: number, address: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(page * PAGE_SIZE + (address % PAGE_SIZE), 0, 0, words, at);
  }

  protected override keptReason(page: number): string {
    return `the unit did not confirm the invalidation of I/O virtual page 0x${page.toString(16)}`;
  }

  /** Drops all cached translations once the queue gave back everything, its ring too. */
  protected override reclaim(): boolean {
    return this.#domain.reclaim();
  }

  protected override get takenPages(): number {
    return this.#domain.pages.takenCount;
  }

  protected regionError(reason: number, length: number): DmaError {
    const { pages } = this.#domain;
    if (reason === DMA_TOO_LARGE) {
      const most = formatByteSize(this.limits.maxMappingSize);
      return new DmaError('ERR_DMA_RANGE', `intel-iommu: ${length} bytes are more than the ${most} of one mapping`, {
        hint: 'raise platform.aperture, or map the memory in parts',
      });
    }
    const { keptBytes } = this.#domain;
    const kept =
      keptBytes === 0 ? '' : `, ${keptBytes / PAGE_SIZE} of them because the unit does not confirm an invalidation`;
    return new DmaError(
      'ERR_DMA_EXHAUSTED',
      `intel-iommu: no room for ${length} bytes; ${pages.takenCount} of ${pages.count} ` +
        `I/O virtual pages are taken${kept}`,
      { hint: 'raise platform.aperture or memory, or ask for less (a smaller queue or depth)' },
    );
  }
}
