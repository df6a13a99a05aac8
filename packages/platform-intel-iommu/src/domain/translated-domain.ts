import { DMA_NO_SPACE, DMA_TOO_LARGE, DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import type { IovaPages } from './iova-pages.ts';
import type { SecondLevelTable } from './second-level-table.ts';
import { ENTRY_READ, ENTRY_WRITE, LARGE_PAGE } from '../unit/vtd-registers.ts';
import type { VtdUnit } from '../unit/vtd-unit.ts';

/** An invalidation that is not confirmed costs pages, so it is worth asking more than once. */
const ATTEMPTS = 3;

/**
 * What becomes of pages whose invalidation was not confirmed. `keep`: nobody gets them, nor the memory behind them, until it is. `reuse`:
 * the driver does not look, and the next owner's address may lead the device to the old one's memory.
 */
export type OnLostInvalidation = 'keep' | 'reuse';

/** Pages that could not be taken from the device, and what to do once they are. */
interface KeptPages {
  readonly page: number;
  readonly count: number;
  readonly free: () => void;
}

/**
 * A domain in which every mapping gets I/O virtual pages of its own, and of which the device loses a page with its unmapping: what Linux
 * calls strict. One per device: all its queues share the domain, so the record of pages is here. Hot: no allocation.
 */
export class TranslatedDomain {
  readonly pages: IovaPages;
  readonly #unit: VtdUnit;
  readonly #table: SecondLevelTable;
  readonly #isCareful: boolean;
  readonly #kept: KeptPages[] = [];

  constructor(
    unit: VtdUnit,
    parts: { readonly table: SecondLevelTable; readonly pages: IovaPages },
    onLostInvalidation: OnLostInvalidation,
  ) {
    this.#unit = unit;
    this.#table = parts.table;
    this.pages = parts.pages;
    this.#isCareful = onLostInvalidation === 'keep';
  }

  /** Bytes of I/O virtual addresses that nobody gets, because the device may still use them. */
  get keptBytes(): number {
    return this.#kept.reduce((sum, { count }) => sum + count * PAGE_SIZE, 0);
  }

  /**
   * Points free pages at guest memory, whole pages, with exactly the permissions of `direction`. Returns the first page, or a negative
   * DMA_* reason, and then nothing is left behind. `alignment` is that of the device address.
   */
  map(address: number, length: number, direction: DmaDirection, alignment: number): number {
    const frame = Math.floor(address / PAGE_SIZE);
    const count = pageCount(address, length);
    if (count > this.pages.count) return DMA_TOO_LARGE;
    let page = -1;
    // Where large pages fit, both sides have to be at the same place in one; where no such run is free, small ones do.
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

  /** Takes `count` pages from the device that `map` gave. Returns false where it may still use them: nobody gets them then. */
  unmap(page: number, count: number): boolean {
    this.#table.unmap(page, count);
    let isConfirmed = false;
    for (let attempt = 0; attempt < ATTEMPTS && !isConfirmed; attempt++) {
      isConfirmed = this.#unit.flushWriteBuffer() && this.#unit.invalidatePages(page, count);
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

  /** Remembers pages that `unmap` could not take, and what their owner would have done then. Cold. */
  keep(page: number, count: number, free: () => void): void {
    this.#kept.push({ page, count, free });
  }

  /**
   * Tries once more to take back what was kept, by dropping all that the unit has cached. Returns whether nothing is kept any more.
   * After a reset of the device, which alone does not help: the translations are the unit's, and not the device's.
   */
  reclaim(): boolean {
    if (this.#kept.length === 0) return true;
    if (!this.#unit.invalidateAll()) return false;
    this.pages.markFresh(this.pages.first, this.pages.count);
    this.#giveKept();
    return true;
  }

  /** The guest-physical address behind a device address; -1 where nothing is mapped, or where an old translation may be in use. Cold. */
  resolve(low: number, high: number): number {
    return this.pages.isStale(high * 2 ** 20 + (low >>> 12)) ? -1 : this.#table.resolve(low, high);
  }

  /** After the unit was stopped: no translation is in use any more. */
  close(): void {
    this.#giveKept();
  }

  #giveKept(): void {
    for (const { page, count, free } of this.#kept) {
      this.pages.give(page, count);
      free();
    }
    this.#kept.length = 0;
  }

  /** Makes what was mapped seen: by units with a write buffer, and by those that remember what was not mapped. */
  #isSeen(page: number, count: number): boolean {
    if (!this.#unit.flushWriteBuffer()) return false;
    return !this.#unit.capabilities.cachingMode || this.#unit.invalidatePages(page, count);
  }
}

/** Pages that hold `length` bytes from an address on, by its place in its page. */
export function pageCount(address: number, length: number): number {
  return Math.ceil(((address % PAGE_SIZE) + length) / PAGE_SIZE);
}

/** Exactly what the device may do. */
function permissionOf(direction: DmaDirection): number {
  if (direction === DmaDirection.ToDevice) return ENTRY_READ;
  if (direction === DmaDirection.FromDevice) return ENTRY_WRITE;
  return ENTRY_READ | ENTRY_WRITE;
}
