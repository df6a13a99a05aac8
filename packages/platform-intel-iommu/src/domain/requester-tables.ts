import type { AddressStep } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';

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
 * unit faults. They are written before the unit starts and do not change while it runs. Each mode of the unit has a
 * class of its own.
 */
export abstract class RequesterTables {
  readonly #memory: GuestMemory;
  readonly #pages: number[] = [];
  readonly #entries: { readonly at: number; readonly words: readonly number[] }[] = [];

  constructor(memory: GuestMemory) {
    this.#memory = memory;
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
