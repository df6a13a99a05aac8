import { DmaError } from '../errors/coded-error.ts';
import { formatByteSize } from '../memory/byte-size.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { LeakLog } from '../memory/leak-log.ts';
import type { PageAllocator } from '../memory/page-allocator.ts';
import { DMA_TOO_LARGE, type AddressStep } from './dma-mapping.ts';
import { writeDeviceAddress } from './device-address.ts';
import type { DmaDirection } from './dma-region.ts';
import { ZeroCopyDmaMapping } from './zero-copy-dma-mapping.ts';

/** A domain of an IOMMU, in which each mapping gets I/O virtual pages of its own. All queues of a device share it. */
export interface IovaDomain {
  readonly pages: PageAllocator;
  /** Bytes of a page: a power of two. */
  readonly granule: number;
  /** Bits of the addresses that the device takes, where they are fewer than 32. */
  readonly maskBits?: number | undefined;
  /** Bytes of I/O virtual addresses that stay unused because the device may still use them. */
  readonly keptBytes: number;
  /**
   * Points free pages at guest memory, whole pages, with exactly the permissions of `direction`. Returns the first
   * page, or a negative DMA_* reason, and then nothing is mapped. `alignment` is that of the device address. Hot.
   */
  map(address: number, length: number, direction: DmaDirection, alignment: number): number;
  /** Returns false when the device may still use the pages: then they stay taken. Hot. */
  unmap(page: number, count: number): boolean;
  /** Records pages that `unmap` left with the device; `free` is called once they are taken back. */
  keep(page: number, count: number, free: () => void): void;
  /** Tries to take back all kept pages. Returns whether no page is kept any more. */
  reclaim(): boolean;
  /** The guest-physical address behind a device address; -1 where nothing is mapped. Cold. */
  resolve(low: number, high: number): number;
  /** The steps of {@link resolve}, for people. Cold. */
  walk(low: number, high: number): readonly AddressStep[];
}

/** What the errors of a mapping say of its platform. */
export interface IovaTerms {
  /** Name of the platform. */
  readonly platform: string;
  /** What the unit did not do with a page that stays taken: `did not unmap`. */
  readonly failed: string;
  /** Why pages stay taken: `because the unit does not unmap them`. */
  readonly because: string;
  /** What to do where no pages are left. */
  readonly hint: string;
  /** How to have more of them: `raise platform.aperture`. */
  readonly more: string;
}

/**
 * Base of the mappings of a queue in an {@link IovaDomain}. As in Linux (dma-iommu) the whole pages of a buffer are
 * mapped and the buffer keeps its offset in its page, so the device also reaches the neighbours of a buffer in its
 * first and last page. Coherent memory fills whole pages.
 */
export abstract class IovaDmaMapping extends ZeroCopyDmaMapping {
  readonly #domain: IovaDomain;
  readonly #granule: number;
  readonly #terms: IovaTerms;

  /** `capacity` is how many mappings can live at once. The mapping does not own the domain and the log. */
  protected constructor(
    memory: GuestMemory,
    domain: IovaDomain,
    { capacity, leaks, ...terms }: IovaTerms & { readonly capacity: number; readonly leaks: LeakLog | undefined },
  ) {
    const { granule, pages } = domain;
    const end = (pages.first + pages.count) * granule;
    const limits = {
      addressBits: Math.min(domain.maskBits ?? 64, Math.max(32, Math.ceil(Math.log2(end)))),
      // One page less than the longest run, for a buffer that begins in the middle of a page.
      maxMappingSize: (pages.count - 1) * granule,
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
      granule,
    };
    const reach = Math.floor(memory.size / granule) * granule;
    super({ path: 'translated', limits, capacity, reach, coherentUnit: granule, coherent: memory, leaks });
    this.#domain = domain;
    this.#granule = granule;
    this.#terms = terms;
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
    const count = pagesOf(address, length, this.#granule);
    if (this.#domain.unmap(page, count)) {
      free();
      return true;
    }
    this.#domain.keep(page, count, free);
    return false;
  }

  protected writePlace(page: number, address: number, words: Uint32Array, at: number): void {
    writeDeviceAddress(page * this.#granule + (address & (this.#granule - 1)), 0, 0, words, at);
  }

  protected override keptReason(page: number): string {
    return `the unit ${this.#terms.failed} I/O virtual page 0x${page.toString(16)}`;
  }

  protected override reclaim(): boolean {
    return this.#domain.reclaim();
  }

  protected override get takenPages(): number {
    return this.#domain.pages.takenCount;
  }

  protected regionError(reason: number, length: number): DmaError {
    const { platform, because, hint, more } = this.#terms;
    const { pages, keptBytes } = this.#domain;
    if (reason === DMA_TOO_LARGE) {
      const most = formatByteSize(this.limits.maxMappingSize);
      return new DmaError('ERR_DMA_RANGE', `${platform}: ${length} bytes are more than the ${most} of one mapping`, {
        hint: `${more}, or map less at once (smaller queues or blocks)`,
      });
    }
    const kept = keptBytes === 0 ? '' : `, ${keptBytes / this.#granule} of them ${because}`;
    const taken = `${pages.takenCount} of ${pages.count} I/O virtual pages are taken${kept}`;
    return new DmaError('ERR_DMA_EXHAUSTED', `${platform}: no room for ${length} bytes; ${taken}`, { hint });
  }
}

/** How many pages of `granule` bytes, a power of two, contain `length` bytes from an address on. Hot. */
export function pagesOf(address: number, length: number, granule: number): number {
  return Math.ceil(((address & (granule - 1)) + length) / granule);
}
