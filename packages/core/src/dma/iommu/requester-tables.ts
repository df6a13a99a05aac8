import { PAGE_SIZE, type GuestMemory } from '../../memory/guest-memory.ts';
import type { AddressStep } from '../dma-mapping.ts';

const WORD = 0x1_0000_0000;

/**
 * Base of the tables that lead from a requester id to its domain. They contain one device, so every other device behind
 * this unit faults. They are written before the unit starts and do not change while it runs. Each kind of unit has a
 * class of its own.
 */
export abstract class RequesterTables {
  readonly #memory: GuestMemory;
  readonly #tables: number[] = [];
  readonly #entries: { readonly at: number; readonly words: readonly number[] }[] = [];

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** What the unit is told: the address of the first table, for some units with a mode in its low bits. */
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
    for (const table of this.#tables) this.#memory.free(table);
    this.#tables.length = 0;
  }

  /**
   * Allocates zeros: a page, or `length` bytes that are aligned to their length. Throws {@link DmaError}
   * `ERR_DMA_EXHAUSTED`, and then frees those before.
   */
  protected allocate(length: number = PAGE_SIZE): number {
    try {
      const table = this.#memory.allocate(length, length);
      this.#tables.push(table);
      return table;
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
