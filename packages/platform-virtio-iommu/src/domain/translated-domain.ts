import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DMA_UNREACHABLE,
  DmaDirection,
  pagesOf,
  type AddressStep,
  type IovaDomain,
} from '@virtio-platform/core/dma';
import { KeptPages, PageAllocator } from '@virtio-platform/core/memory';
import type { MappingRequests } from '../unit/mapping-requests.ts';
import { ACCESS_READ, ACCESS_WRITE, STATUS_NO_MEMORY, STATUS_OK } from '../unit/request-format.ts';
import type { IovaWindow } from './iova-window.ts';

/** An UNMAP that is not answered with OK costs pages, so it is repeated. */
const ATTEMPTS = 3;
const WORD = 0x1_0000_0000;

/**
 * A domain in which every mapping gets I/O virtual pages of its own, by one MAP request, and loses them by one UNMAP
 * request. There is one per device, which all its queues share. Hot: no allocation.
 */
export class TranslatedDomain implements IovaDomain {
  readonly pages: PageAllocator;
  /** Bytes of a page of the unit. */
  readonly granule: number;
  readonly maskBits: number | undefined;
  readonly #requests: MappingRequests;
  /** The requests without failures on purpose, for what must be taken back. */
  readonly #certain: MappingRequests;
  /** What the driver asked for: of each page the number of its frame plus 1, or 0. The unit's tables cannot be read. */
  readonly #frames: Int32Array;
  readonly #permissions: Uint8Array;
  #status: number = STATUS_OK;
  /** Pages that the unit did not unmap. */
  readonly #kept: KeptPages;

  constructor(
    { first, count }: IovaWindow,
    granule: number,
    requests: { readonly usual: MappingRequests; readonly certain: MappingRequests },
    maskBits?: number,
  ) {
    this.maskBits = maskBits;
    this.pages = new PageAllocator(first, count, 'downward');
    this.#kept = new KeptPages(this.pages);
    this.granule = granule;
    this.#requests = requests.usual;
    this.#certain = requests.certain;
    this.#frames = new Int32Array(count);
    this.#permissions = new Uint8Array(count);
  }

  /** Bytes of I/O virtual addresses that stay unused because the device may still use them. */
  get keptBytes(): number {
    return this.#kept.count * this.granule;
  }

  /** The unit's answer to the last `map`; STATUS_OK also where `map` made no request. */
  get status(): number {
    return this.#status;
  }

  /**
   * Points free pages at guest memory, whole pages, with exactly the permissions of `direction`. Returns the first
   * page, or a negative DMA_* reason, and then nothing is mapped. `alignment` is that of the device address.
   */
  map(address: number, length: number, direction: DmaDirection, alignment: number): number {
    const { granule, pages } = this;
    const frame = Math.floor(address / granule);
    this.#status = STATUS_OK;
    const count = pagesOf(address, length, granule);
    if (count > pages.count) return DMA_TOO_LARGE;
    const page = pages.take(count, alignment > granule ? alignment / granule : 1, 0);
    if (page < 0) return DMA_NO_SPACE;
    const flags = permissionOf(direction);
    const status = this.#requests.map(page * granule, (page + count) * granule - 1, frame * granule, flags);
    this.#status = status;
    if (status !== STATUS_OK) {
      pages.give(page, count);
      return status === STATUS_NO_MEMORY ? DMA_NO_SPACE : DMA_UNREACHABLE;
    }
    const at = page - pages.first;
    for (let i = 0; i < count; i++) {
      this.#frames[at + i] = frame + i + 1;
      this.#permissions[at + i] = flags;
    }
    return page;
  }

  /**
   * Unmaps `count` pages that `map` returned. Returns false when the device may still use them: then they stay taken.
   */
  unmap(page: number, count: number): boolean {
    const { granule } = this;
    const at = page - this.pages.first;
    for (let i = 0; i < count; i++) this.#frames[at + i] = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (this.#requests.unmap(page * granule, (page + count) * granule - 1) !== STATUS_OK) continue;
      this.pages.give(page, count);
      return true;
    }
    return false;
  }

  /** Records pages that `unmap` left with the device; `free` is called once they are taken back. Cold. */
  keep(page: number, count: number, free: () => void): void {
    this.#kept.keep(page, count, free);
  }

  /** Asks once more for each of the kept pages. Returns whether no page is kept any more. Cold. */
  reclaim(): boolean {
    const { granule } = this;
    this.#kept.giveBack(
      (page, count) => this.#certain.unmap(page * granule, (page + count) * granule - 1) === STATUS_OK,
    );
    return this.#kept.count === 0;
  }

  /** The guest-physical address behind a device address, as the driver asked for it; -1 where it did not. Cold. */
  resolve(low: number, high: number): number {
    const address = high * WORD + low;
    const frame = this.#frames[Math.floor(address / this.granule) - this.pages.first];
    return frame === undefined || frame === 0 ? -1 : (frame - 1) * this.granule + (address % this.granule);
  }

  /** What the device may do at a device address: ACCESS_READ and ACCESS_WRITE. Cold. */
  permissions(low: number, high: number): number {
    if (this.resolve(low, high) < 0) return 0;
    return this.#permissions[Math.floor((high * WORD + low) / this.granule) - this.pages.first]!;
  }

  /** The step of {@link resolve}. Cold. */
  walk(low: number, high: number): readonly AddressStep[] {
    const address = high * WORD + low;
    const page = Math.floor(address / this.granule);
    const physical = this.resolve(low, high);
    const table = 'mappings of the domain, as the driver asked for them';
    if (this.#kept.has(page)) return [{ table, says: 'the unit did not confirm that this page is unmapped' }];
    if (physical < 0) return [{ table, says: `nothing is mapped at 0x${address.toString(16)}` }];
    const leads = `page 0x${page.toString(16)} leads to physical 0x${physical.toString(16)}`;
    return [{ table, says: `${leads}, ${words(this.permissions(low, high))}` }];
  }

  /** Frees the kept pages. Called after the unit dropped the domain. */
  close(): void {
    this.#kept.giveBack();
  }
}

/** Exactly the permissions of a direction. */
function permissionOf(direction: DmaDirection): number {
  if (direction === DmaDirection.ToDevice) return ACCESS_READ;
  if (direction === DmaDirection.FromDevice) return ACCESS_WRITE;
  return ACCESS_READ | ACCESS_WRITE;
}

function words(flags: number): string {
  if (flags === ACCESS_READ) return 'read';
  return flags === ACCESS_WRITE ? 'write' : 'read and write';
}
