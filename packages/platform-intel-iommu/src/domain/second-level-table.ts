import { isCodedError } from '@virtio-platform/core';
import type { AddressStep } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import {
  ENTRY_LARGE,
  ENTRY_READ,
  ENTRY_WORDS,
  ENTRY_WRITE,
  LARGE_PAGE,
  PAGE_SHIFT,
  TABLE_ENTRIES,
} from '../unit/vtd-registers.ts';
const PERMISSIONS = ENTRY_READ | ENTRY_WRITE;
const INDEX_BITS = 9;
const INDEX_MASK = TABLE_ENTRIES - 1;
/** Address bits of the high word of an entry; bits above are the unit's to ignore or to reserve. */
const HIGH_ADDRESS_MASK = 0x000f_ffff;
/** Page frames in 2^32 bytes. */
const FRAMES_OF_WORD = 2 ** 20;

/** A run of 2 MiB without a table of the lowest level. */
const NO_TABLE = 0;
/** A run of 2 MiB that one entry translates. */
const LARGE = -1;

/**
 * The second-level page tables of a domain, in guest memory, where the unit walks them. The addresses of the tables are
 * kept in private memory and never read back: a device that reaches all of memory can overwrite the tables. Tables are
 * added as needed and stay until the end, so that the unit never walks a table of another address. Pages are page
 * numbers. Hot: allocates nothing but tables.
 *
 * A unit that does not snoop processor caches (ECAP.C clear) would need each entry flushed; JavaScript has no such
 * instruction, and emulated units need none.
 */
export class SecondLevelTable {
  /** Physical address of the table of the highest level. */
  readonly root: number;
  readonly #memory: GuestMemory;
  readonly #levels: number;
  readonly #pages: number;
  readonly #largePages: boolean;
  /** By 2 MiB of I/O virtual addresses: the word index of the table of the lowest level in memory, or {@link LARGE}. */
  readonly #leaves: Float64Array;
  /** The word indices of the tables above, by level and index. */
  readonly #upper = new Map<string, number>();
  readonly #allocated: number[] = [];

  /** For pages below `pages`. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  constructor(
    memory: GuestMemory,
    shape: { readonly levels: number; readonly pages: number; readonly largePages: boolean },
  ) {
    this.#memory = memory;
    this.#levels = shape.levels;
    this.#pages = shape.pages;
    this.#largePages = shape.largePages;
    this.#leaves = new Float64Array(Math.ceil(shape.pages / TABLE_ENTRIES));
    this.root = memory.allocate(PAGE_SIZE);
    this.#allocated.push(this.root);
    this.#upper.set(tableKey(this.#levels, 0), this.root / 4);
  }

  /**
   * Points `count` pages from `page` on at the page frames from `frame` on. Returns false when memory for a table is
   * missing, and then no page is mapped. The low word with the permissions is written last, so the unit never sees half
   * of an entry.
   */
  map(page: number, count: number, frame: number, permission: number): boolean {
    const u32 = this.#memory.u32;
    for (let done = 0; done < count;) {
      const at = page + done;
      if (this.#isLarge(at, count - done, frame + done)) {
        if (!this.#mapLarge(at, frame + done, permission)) return this.#undo(page, done);
        done += LARGE_PAGE;
        continue;
      }
      let leaf = this.#leaves[at >>> INDEX_BITS]!;
      if (leaf === NO_TABLE) leaf = this.#addLeaf(at >>> INDEX_BITS);
      if (leaf === NO_TABLE) return this.#undo(page, done);
      const entry = leaf + (at & INDEX_MASK) * ENTRY_WORDS;
      u32[entry + 1] = Math.floor((frame + done) / FRAMES_OF_WORD);
      Atomics.store(u32, entry, ((frame + done) << PAGE_SHIFT) | permission);
      done++;
    }
    return true;
  }

  /** Clears the entries of `count` pages. The unit may use cached translations of them until an invalidation. */
  unmap(page: number, count: number): void {
    const u32 = this.#memory.u32;
    for (let done = 0; done < count;) {
      const at = page + done;
      const leaf = this.#leaves[at >>> INDEX_BITS]!;
      if (leaf === LARGE) {
        Atomics.store(u32, this.#largeEntry(at), 0);
        this.#leaves[at >>> INDEX_BITS] = NO_TABLE;
        done += LARGE_PAGE;
        continue;
      }
      Atomics.store(u32, leaf + (at & INDEX_MASK) * ENTRY_WORDS, 0);
      done++;
    }
  }

  /** The permissions of an address according to the tables in memory. Cold. */
  permissions(low: number, high: number): number {
    const entry = this.#entryOf(pageOf(low, high));
    return entry < 0 ? 0 : this.#memory.u32[entry]! & PERMISSIONS;
  }

  /** The guest-physical address of an address according to the tables in memory; -1 where nothing is mapped. Cold. */
  resolve(low: number, high: number): number {
    const page = pageOf(low, high);
    const entry = this.#entryOf(page);
    if (entry < 0) return -1;
    const [entryLow, entryHigh] = [this.#memory.u32[entry]!, this.#memory.u32[entry + 1]!];
    if ((entryLow & PERMISSIONS) === 0) return -1;
    const isLarge = this.#leaves[Math.floor(page / TABLE_ENTRIES)] === LARGE;
    const frame = (entryHigh & HIGH_ADDRESS_MASK) * FRAMES_OF_WORD + (entryLow >>> PAGE_SHIFT);
    return (frame + (isLarge ? page & INDEX_MASK : 0)) * PAGE_SIZE + (low & (PAGE_SIZE - 1));
  }

  /** The steps of {@link resolve}: the table of each level, from the highest down, and its entry in memory. Cold. */
  walk(low: number, high: number): readonly AddressStep[] {
    const page = pageOf(low, high);
    const steps: AddressStep[] = [];
    for (let level = this.#levels; level >= 1; level--) {
      const run = TABLE_ENTRIES ** (level - 1);
      const at = this.#upper.get(tableKey(level, Math.floor(page / (run * TABLE_ENTRIES))));
      if (at === undefined) break;
      const index = Math.floor(page / run) % TABLE_ENTRIES;
      const [entryLow, entryHigh] = [
        this.#memory.u32[at + index * ENTRY_WORDS]!,
        this.#memory.u32[at + index * ENTRY_WORDS + 1]!,
      ];
      const table = `page table of level ${level} at 0x${(at * 4).toString(16)}`;
      const may = [
        ...((entryLow & ENTRY_READ) === 0 ? [] : ['read']),
        ...((entryLow & ENTRY_WRITE) === 0 ? [] : ['write']),
      ];
      if (may.length === 0) return [...steps, { table, says: `entry ${index} is empty: nothing is mapped there` }];
      const frame = (entryHigh & HIGH_ADDRESS_MASK) * FRAMES_OF_WORD + (entryLow >>> PAGE_SHIFT);
      const isLarge = level === 2 && (entryLow & ENTRY_LARGE) !== 0;
      const what = level === 1 ? 'page' : isLarge ? 'the 2 MiB' : 'the table';
      steps.push({
        table,
        says: `entry ${index} points at ${what} at 0x${(frame * PAGE_SIZE).toString(16)}, to ${may.join(' and ')}`,
      });
      if (isLarge) break;
    }
    if (steps.length === 0) steps.push({ table: 'page tables', says: 'beyond the addresses that they cover' });
    return steps;
  }

  /** Frees the tables. Called after the unit stopped. */
  free(): void {
    for (const address of this.#allocated) this.#memory.free(address);
    this.#allocated.length = 0;
  }

  /** The word index of the entry that translates a page, large or not; -1 where there is no table for it. */
  #entryOf(page: number): number {
    if (page >= this.#pages) return -1;
    const leaf = this.#leaves[page >>> INDEX_BITS]!;
    if (leaf === NO_TABLE) return -1;
    return leaf === LARGE ? this.#largeEntry(page) : leaf + (page & INDEX_MASK) * ENTRY_WORDS;
  }

  /**
   * Whether one entry can translate the next 2 MiB: both addresses are multiples of 2 MiB, and no table exists there.
   */
  #isLarge(page: number, left: number, frame: number): boolean {
    return (
      left >= LARGE_PAGE &&
      this.#largePages &&
      (page & INDEX_MASK) === 0 &&
      frame % LARGE_PAGE === 0 &&
      this.#leaves[page >>> INDEX_BITS] === NO_TABLE
    );
  }

  #mapLarge(page: number, frame: number, permission: number): boolean {
    if (this.#tableAt(2, page >>> (2 * INDEX_BITS)) === NO_TABLE) return false;
    const u32 = this.#memory.u32;
    const entry = this.#largeEntry(page);
    u32[entry + 1] = Math.floor(frame / FRAMES_OF_WORD);
    Atomics.store(u32, entry, (frame << PAGE_SHIFT) | ENTRY_LARGE | permission);
    this.#leaves[page >>> INDEX_BITS] = LARGE;
    return true;
  }

  /** The word index of the entry of 2 MiB; its table exists. */
  #largeEntry(page: number): number {
    const index = page >>> INDEX_BITS;
    return this.#upper.get(tableKey(2, index >>> INDEX_BITS))! + (index & INDEX_MASK) * ENTRY_WORDS;
  }

  #addLeaf(index: number): number {
    return (this.#leaves[index] = this.#tableAt(1, index));
  }

  /**
   * The table of a level for the `index`-th run of addresses of its size; adds it and those above it if missing. Cold.
   */
  #tableAt(level: number, index: number): number {
    const key = tableKey(level, index);
    const known = this.#upper.get(key);
    if (known !== undefined) return known;
    const parent = this.#tableAt(level + 1, Math.floor(index / TABLE_ENTRIES));
    const address = parent === NO_TABLE ? 0 : this.#allocate();
    if (address === 0) return NO_TABLE;
    const u32 = this.#memory.u32;
    const entry = parent + (index & INDEX_MASK) * ENTRY_WORDS;
    const frame = address / PAGE_SIZE;
    u32[entry + 1] = Math.floor(frame / FRAMES_OF_WORD);
    // Permissions add up on the way down: the entries of pages decide.
    Atomics.store(u32, entry, (frame << PAGE_SHIFT) | PERMISSIONS);
    this.#upper.set(key, address / 4);
    return address / 4;
  }

  /** Allocates a zeroed page. Returns 0, which is never allocated, when no memory is left. */
  #allocate(): number {
    try {
      const address = this.#memory.allocate(PAGE_SIZE);
      this.#allocated.push(address);
      return address;
    } catch (error) {
      if (!isCodedError(error)) throw error;
      return 0;
    }
  }

  #undo(page: number, done: number): false {
    this.unmap(page, done);
    return false;
  }
}

function tableKey(level: number, index: number): string {
  return `${level}:${index}`;
}

function pageOf(low: number, high: number): number {
  return high * FRAMES_OF_WORD + (low >>> PAGE_SHIFT);
}
