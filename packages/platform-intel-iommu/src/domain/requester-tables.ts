import type { AddressStep } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';

import type { FormerTables } from '../takeover/former-tables.ts';
import { unresponsive } from '../unit/vtd-facility.ts';
import { PRESENT } from '../unit/vtd-registers.ts';

const WORD = 0x1_0000_0000;

/** What the tables say of the device: the translation type, and for a translated domain its page tables. */
export interface RequesterEntry {
  readonly isPassThrough: boolean;
  /** Physical address of the page table of the highest level; 0 for pass-through. */
  readonly table: number;
  /** Code of the address width (AW). */
  readonly width: number;
  readonly domain: number;
}

/**
 * The tables that lead from a requester id to its domain. They contain one device, so every other device behind this
 * unit faults; a copy of the tables of a former owner has its devices too, and leads this one to its own domain from
 * {@link attach} on. Otherwise they are written before the unit starts and do not change while it runs. Each mode of
 * the unit has a class of its own.
 */
export abstract class RequesterTables {
  readonly #memory: GuestMemory;
  readonly #pages: number[] = [];
  readonly #entries: { readonly at: number; readonly words: readonly number[] }[] = [];

  /** Writes the entry of the device; `undefined` once that is done. */
  #deferred: (() => void) | undefined;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /**
   * Leads the device to its domain where the tables are a copy: its entry is cleared first, and `invalidateAll` has to
   * confirm that the unit forgot it. Called once the driver has reset the device, as Linux defers it. Throws
   * {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`, and then the device reaches nothing. Cold.
   */
  attach(invalidateAll: () => boolean): void {
    const write = this.#deferred;
    if (write === undefined) return;
    this.clearDevice();
    if (!invalidateAll()) throw unresponsive('it did not confirm that it forgot the tables of the former owner');
    write();
    this.#deferred = undefined;
    // A unit in caching mode may remember that there was no entry.
    if (!invalidateAll()) throw unresponsive('it did not confirm that it saw the tables of the device');
  }

  /** Clears the entry that leads from the device to its domain. */
  protected abstract clearDevice(): void;

  /** Writes the entry of the device now, or with {@link attach} where there is a former owner. */
  protected writeDevice(former: FormerTables | undefined, write: () => void): void {
    if (former === undefined) write();
    else this.#deferred = write;
  }

  /** Copies the contexts of a former owner, and points the root table at them. Returns their pages by root word. */
  protected copyContexts(root: number, former: FormerTables | undefined): ReadonlyMap<number, number> {
    const pages = new Map<number, number>();
    for (const { rootWord, words } of former?.contexts ?? []) {
      const page = this.allocate();
      this.#memory.u32.set(words, page / 4);
      this.write(root / 4 + rootWord, ...this.pointer(page, PRESENT));
      pages.set(rootWord, page);
    }
    return pages;
  }

  /** Clears the first word of an entry: it is not present. */
  protected clear(at: number): void {
    Atomics.store(this.#memory.u32, at, 0);
  }

  /** What the unit is told: the address of the root table, with the mode in its low bits. */
  abstract readonly root: number;

  /** The way from the requester id to its domain. Cold. */
  abstract walk(): readonly AddressStep[];

  /** Whether the entries are unchanged: a device that reaches all of memory can overwrite them. Cold. */
  isIntact(): boolean {
    const { u32 } = this.#memory;
    return this.#entries.every(({ at, words }) => words.every((word, i) => u32[at + i] === word));
  }

  /** Frees the tables. Called after the unit stopped. */
  free(): void {
    for (const page of this.#pages) this.#memory.free(page);
    this.#pages.length = 0;
  }

  /** Allocates a page of zeros. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then frees those before. */
  protected allocate(): number {
    try {
      const page = this.#memory.allocate(PAGE_SIZE);
      this.#pages.push(page);
      return page;
    } catch (error) {
      this.free();
      throw error;
    }
  }

  /** Writes an entry, its first word last. `at` is a word index. */
  protected write(at: number, ...words: readonly number[]): void {
    const [first, ...others] = words.map((word) => word >>> 0);
    this.#memory.u32.set(others, at + 1);
    Atomics.store(this.#memory.u32, at, first!);
    this.#entries.push({ at, words: [first!, ...others] });
  }

  /** The two words of an entry that is an address with flags below it. */
  protected pointer(address: number, flags: number): readonly [number, number] {
    return [((address % WORD) | flags) >>> 0, Math.floor(address / WORD)];
  }
}

/** A requester id as people write it: bus, device and function. */
export function requesterName(sourceId: number): string {
  const [bus, devfn] = [(sourceId >>> 8) & 0xff, sourceId & 0xff];
  return `${bus.toString(16).padStart(2, '0')}:${(devfn >>> 3).toString(16).padStart(2, '0')}.${devfn & 7}`;
}

/** Where an entry leads, in words. */
export function entryLeadsTo({ isPassThrough, domain, table }: RequesterEntry): string {
  return isPassThrough ? 'pass-through: nothing translates' : `domain ${domain}, tables at 0x${table.toString(16)}`;
}
