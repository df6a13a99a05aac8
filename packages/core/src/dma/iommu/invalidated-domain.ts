import { KeptPages } from '../../memory/kept-pages.ts';
import { DMA_NO_SPACE, DMA_TOO_LARGE, type AddressStep } from '../dma-mapping.ts';
import { DmaDirection } from '../dma-region.ts';
import { pagesOf, type IovaDomain } from '../iova-dma-mapping.ts';
import { PAGE_READ, PAGE_WRITE } from './entry-format.ts';
import type { IovaPages } from './iova-pages.ts';
import type { PageTable } from './page-table.ts';
import type { RequesterTables } from './requester-tables.ts';

/** An invalidation that is not confirmed costs pages, so it is repeated. */
const ATTEMPTS = 3;

/**
 * How to treat pages whose invalidation was not confirmed. `keep`: the pages and the memory behind them stay unused
 * until it is confirmed. `reuse`: the driver does not check, and the address of the next mapping may lead the device to
 * the memory of the old one.
 */
export type OnLostInvalidation = 'keep' | 'reuse';

/** How the driver has a unit drop what it has cached. Hot: no allocation. */
export interface TranslationCaches {
  /** Invalidates the translations of pages. Returns whether the unit confirmed that. */
  invalidatePages(page: number, count: number): boolean;
  /** Invalidates every cached translation, and what leads to it. Returns whether the unit confirmed that. Cold. */
  invalidateAll(): boolean;
  /** Makes the unit see entries of pages where nothing was mapped before. Returns whether it is sure to see them. */
  showPages(page: number, count: number): boolean;
}

/** The tables of a domain, and its pages. */
export interface DomainTables {
  readonly table: PageTable;
  readonly pages: IovaPages;
  readonly requesters: RequesterTables;
  /** Bits of the addresses that the device takes. */
  readonly maskBits?: number | undefined;
}

/**
 * A domain in which every mapping gets I/O virtual pages of its own, and `unmap` ends with an invalidation: what Linux
 * calls strict. There is one per device, which all its queues share, so the record of pages is here. Hot: no
 * allocation.
 */
export class InvalidatedDomain implements IovaDomain {
  readonly pages: IovaPages;
  readonly granule: number;
  readonly maskBits: number | undefined;
  readonly #unit: TranslationCaches;
  readonly #table: PageTable;
  readonly #framesOfWord: number;
  readonly #requesters: RequesterTables;
  readonly #isCareful: boolean;
  /** Pages whose invalidation was not confirmed. */
  readonly #kept: KeptPages;

  constructor(unit: TranslationCaches, parts: DomainTables, onLostInvalidation: OnLostInvalidation) {
    this.#unit = unit;
    this.#table = parts.table;
    this.granule = parts.table.granule;
    this.#framesOfWord = 2 ** 32 / this.granule;
    this.#requesters = parts.requesters;
    this.pages = parts.pages;
    this.maskBits = parts.maskBits;
    this.#kept = new KeptPages(parts.pages);
    this.#isCareful = onLostInvalidation === 'keep';
  }

  /** Bytes of I/O virtual addresses that stay unused because the device may still use them. */
  get keptBytes(): number {
    return this.#kept.count * this.granule;
  }

  /**
   * Points free pages at guest memory, whole pages, with exactly the permissions of `direction`. Returns the first
   * page, or a negative DMA_* reason, and then nothing is mapped. `alignment` is that of the device address.
   */
  map(address: number, length: number, direction: DmaDirection, alignment: number): number {
    const { granule } = this;
    const { largePage } = this.#table;
    const frame = Math.floor(address / granule);
    const count = pagesOf(address, length, granule);
    if (count > this.pages.count) return DMA_TOO_LARGE;
    let page = -1;
    // A large page needs both addresses at the same offset in it. Without such a free run, small pages are used.
    if (count >= largePage && alignment <= granule) page = this.pages.take(count, largePage, frame % largePage);
    if (page < 0) page = this.pages.take(count, alignment > granule ? alignment / granule : 1, 0);
    if (page < 0) return DMA_NO_SPACE;
    if (!this.#table.map(page, count, frame, permissionOf(direction))) {
      this.pages.give(page, count);
      return DMA_NO_SPACE;
    }
    if (this.#isSeen(page, count)) return page;
    if (!this.unmap(page, count)) this.keep(page, count, () => {});
    return DMA_NO_SPACE;
  }

  /**
   * Unmaps `count` pages that `map` returned. Returns false when the device may still use them: then they stay taken.
   */
  unmap(page: number, count: number): boolean {
    this.#table.unmap(page, count);
    let isConfirmed = false;
    for (let attempt = 0; attempt < ATTEMPTS && !isConfirmed; attempt++) {
      isConfirmed = this.#unit.invalidatePages(page, count);
      if (!this.#isCareful) break;
    }
    if (isConfirmed) this.pages.markFresh(page, count);
    else {
      this.pages.markStale(page, count);
      if (this.#isCareful) return false;
    }
    this.pages.give(page, count);
    return true;
  }

  /** Records pages that `unmap` left with the device; `free` is called once they are taken back. Cold. */
  keep(page: number, count: number, free: () => void): void {
    this.#kept.keep(page, count, free);
  }

  /**
   * Tries to take back all kept pages by invalidating all caches of the unit. Returns whether no page is kept any more.
   * A reset of the device alone does not help: the unit caches the translations, not the device.
   */
  reclaim(): boolean {
    if (this.#kept.count === 0) return true;
    if (!this.#unit.invalidateAll()) return false;
    this.pages.markFresh(this.pages.first, this.pages.count);
    this.#kept.giveBack();
    return true;
  }

  /**
   * The guest-physical address behind a device address; -1 where nothing is mapped or an old translation may be in use.
   * Cold.
   */
  resolve(low: number, high: number): number {
    return this.pages.isStale(this.#pageOf(low, high)) ? -1 : this.#table.resolve(low, high);
  }

  /** The steps of {@link resolve}: from the requester to its domain, and through its page tables. Cold. */
  walk(low: number, high: number): readonly AddressStep[] {
    const steps = [...this.#requesters.walk(), ...this.#table.walk(low, high)];
    if (!this.pages.isStale(this.#pageOf(low, high))) return steps;
    return [...steps, { table: 'IOTLB', says: 'the unit may still use an old translation of this page' }];
  }

  /** Frees the kept pages. Called after the unit stopped: it uses no translation any more. */
  close(): void {
    this.#kept.giveBack();
  }

  #isSeen(page: number, count: number): boolean {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (this.#unit.showPages(page, count)) return true;
    return false;
  }

  #pageOf(low: number, high: number): number {
    return high * this.#framesOfWord + Math.floor(low / this.granule);
  }
}

/** Exactly the permissions of a direction. */
function permissionOf(direction: DmaDirection): number {
  if (direction === DmaDirection.ToDevice) return PAGE_READ;
  if (direction === DmaDirection.FromDevice) return PAGE_WRITE;
  return PAGE_READ | PAGE_WRITE;
}
