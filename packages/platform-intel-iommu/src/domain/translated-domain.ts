import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DmaDirection,
  pagesOf,
  type AddressStep,
  type IovaDomain,
} from '@virtio-platform/core/dma';
import { KeptPages, PAGE_SIZE } from '@virtio-platform/core/memory';
import type { IovaPages } from './iova-pages.ts';
import type { RequesterTables } from './requester-tables.ts';
import type { SecondLevelTable } from './second-level-table.ts';
import { ENTRY_READ, ENTRY_WRITE, LARGE_PAGE } from '../unit/vtd-registers.ts';
import type { VtdUnit } from '../unit/vtd-unit.ts';

/** An invalidation that is not confirmed costs pages, so it is repeated. */
const ATTEMPTS = 3;

/**
 * How to treat pages whose invalidation was not confirmed. `keep`: the pages and the memory behind them stay unused
 * until it is confirmed. `reuse`: the driver does not check, and the address of the next mapping may lead the device to
 * the memory of the old one.
 */
export type OnLostInvalidation = 'keep' | 'reuse';

/** The tables of a domain, and its pages. */
export interface DomainTables {
  readonly table: SecondLevelTable;
  readonly pages: IovaPages;
  readonly requesters?: RequesterTables;
  /** Bits of the addresses that the device takes. */
  readonly maskBits?: number;
}

/**
 * A domain in which every mapping gets I/O virtual pages of its own, and `unmap` ends with an invalidation: what Linux
 * calls strict. There is one per device, which all its queues share, so the record of pages is here. Hot: no
 * allocation.
 */
export class TranslatedDomain implements IovaDomain {
  readonly pages: IovaPages;
  readonly granule: number = PAGE_SIZE;
  readonly maskBits: number | undefined;
  readonly #unit: VtdUnit;
  readonly #table: SecondLevelTable;
  readonly #requesters: RequesterTables | undefined;
  readonly #isCareful: boolean;
  /** Pages whose invalidation was not confirmed. */
  readonly #kept: KeptPages;

  constructor(unit: VtdUnit, parts: DomainTables, onLostInvalidation: OnLostInvalidation) {
    this.#unit = unit;
    this.#table = parts.table;
    this.#requesters = parts.requesters;
    this.pages = parts.pages;
    this.maskBits = parts.maskBits;
    this.#kept = new KeptPages(parts.pages);
    this.#isCareful = onLostInvalidation === 'keep';
  }

  /** Bytes of I/O virtual addresses that stay unused because the device may still use them. */
  get keptBytes(): number {
    return this.#kept.count * PAGE_SIZE;
  }

  /**
   * Points free pages at guest memory, whole pages, with exactly the permissions of `direction`. Returns the first
   * page, or a negative DMA_* reason, and then nothing is mapped. `alignment` is that of the device address.
   */
  map(address: number, length: number, direction: DmaDirection, alignment: number): number {
    const frame = Math.floor(address / PAGE_SIZE);
    const count = pagesOf(address, length, PAGE_SIZE);
    if (count > this.pages.count) return DMA_TOO_LARGE;
    let page = -1;
    // A large page needs both addresses at the same offset in 2 MiB. Without such a free run, small pages are used.
    if (count >= LARGE_PAGE && alignment <= PAGE_SIZE) page = this.pages.take(count, LARGE_PAGE, frame % LARGE_PAGE);
    if (page < 0) page = this.pages.take(count, alignment > PAGE_SIZE ? alignment / PAGE_SIZE : 1, 0);
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
      isConfirmed = this.#isInvalidated(page, count);
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
    return this.pages.isStale(high * 2 ** 20 + (low >>> 12)) ? -1 : this.#table.resolve(low, high);
  }

  /** The steps of {@link resolve}: from the requester to its domain, and through its page tables. Cold. */
  walk(low: number, high: number): readonly AddressStep[] {
    const steps = [...(this.#requesters?.walk() ?? []), ...this.#table.walk(low, high)];
    if (!this.pages.isStale(high * 2 ** 20 + (low >>> 12))) return steps;
    return [...steps, { table: 'IOTLB', says: 'the unit may still use an old translation of this page' }];
  }

  /** Frees the kept pages. Called after the unit stopped: it uses no translation any more. */
  close(): void {
    this.#kept.giveBack();
  }

  /** Makes new entries visible to units with a write buffer, and to units that cache entries that are not present. */
  #isSeen(page: number, count: number): boolean {
    if (!this.#unit.capabilities.cachingMode) return this.#unit.flushWriteBuffer();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (this.#isInvalidated(page, count)) return true;
    return false;
  }

  #isInvalidated(page: number, count: number): boolean {
    return this.#unit.flushWriteBuffer() && this.#unit.invalidatePages(page, count);
  }
}

/** Exactly the permissions of a direction. */
function permissionOf(direction: DmaDirection): number {
  if (direction === DmaDirection.ToDevice) return ENTRY_READ;
  if (direction === DmaDirection.FromDevice) return ENTRY_WRITE;
  return ENTRY_READ | ENTRY_WRITE;
}
