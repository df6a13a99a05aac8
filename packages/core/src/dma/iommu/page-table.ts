import { isCodedError } from '../../errors/coded-error.ts';
import { formatByteSize } from '../../memory/byte-size.ts';
import { PAGE_SIZE, type GuestMemory } from '../../memory/guest-memory.ts';
import type { AddressStep } from '../dma-mapping.ts';
import { PAGE_READ, PAGE_WRITE, type EntryFlags, type EntryFormat } from './entry-format.ts';

/** 32-bit words of an entry. */
const ENTRY_WORDS = 2;
/** Address bits of the high word of an entry; bits above are flags, or the unit's to ignore or to reserve. */
const HIGH_ADDRESS_MASK = 0x000f_ffff;
const WORD = 2 ** 32;

/** A run of a large page without a table of the lowest level. */
const NO_TABLE = 0;
/** A run that one entry translates. */
const LARGE = -1;

/** What the page tables of a domain cover. */
export interface PageTableShape {
  /** How many tables an address leads through, at least 1. */
  readonly levels: number;
  /** Only pages below this number are mapped. */
  readonly pages: number;
  /** Whether one entry of the second lowest level may map as much as a whole table of the lowest. */
  readonly largePages: boolean;
  /** Bytes of a page and of a table: a power of two. A page of the driver unless given. */
  readonly granule?: number;
}

/**
 * The page tables of a domain, in guest memory, where the unit walks them. The addresses of the tables are kept in
 * private memory and never read back: a device that reaches all of memory can overwrite the tables. Tables are added as
 * needed and stay until the end, so that the unit never walks a table of another address. Levels count from 1, the
 * lowest; pages are page numbers, and a frame is the number of a physical page. Hot: allocates nothing but tables.
 *
 * A unit that does not snoop processor caches would need each entry flushed; JavaScript has no such
 * instruction, and emulated units need none.
 */
export class PageTable {
  /** Physical address of the table of the highest level. */
  readonly root: number;
  /** Bytes of a page. */
  readonly granule: number;
  /** Pages of a large page: as many as a table has entries. */
  readonly largePage: number;
  readonly #memory: GuestMemory;
  readonly #format: EntryFormat;
  /** The low word of an entry that maps nothing. */
  readonly #absent: number;
  readonly #levels: number;
  readonly #pages: number;
  readonly #largePages: boolean;
  /** log2 of the bytes of a page, and of the entries of a table. */
  readonly #pageShift: number;
  readonly #indexBits: number;
  readonly #indexMask: number;
  /** Page frames in 2^32 bytes. */
  readonly #framesOfWord: number;
  /** By large page of I/O virtual addresses: the word index of the table of the lowest level, or {@link LARGE}. */
  readonly #leaves: Float64Array;
  /** The word indices of the tables above, by level and index. */
  readonly #upper = new Map<string, number>();
  readonly #allocated: number[] = [];

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  constructor(memory: GuestMemory, format: EntryFormat, shape: PageTableShape) {
    const { granule = PAGE_SIZE } = shape;
    this.#memory = memory;
    this.#format = format;
    this.#absent = format.absent ?? 0;
    this.granule = granule;
    this.largePage = granule / 8;
    this.#pageShift = Math.log2(granule);
    this.#indexBits = this.#pageShift - 3;
    this.#indexMask = this.largePage - 1;
    this.#framesOfWord = WORD / granule;
    this.#levels = shape.levels;
    this.#pages = shape.pages;
    // A large page is an entry of the second level.
    this.#largePages = shape.largePages && shape.levels >= 2;
    this.#leaves = new Float64Array(Math.ceil(shape.pages / this.largePage));
    this.root = this.#allocateTable();
    this.#upper.set(tableKey(this.#levels, 0), this.root / 4);
  }

  /**
   * Points `count` pages from `page` on at the page frames from `frame` on. Returns false when memory for a table is
   * missing, and then no page is mapped. The low word with the permissions is written last, so the unit never sees half
   * of an entry.
   */
  map(page: number, count: number, frame: number, permission: number): boolean {
    const u32 = this.#memory.u32;
    const { low, high } = this.#format.page[permission]!;
    const indexBits = this.#indexBits;
    for (let done = 0; done < count;) {
      const at = page + done;
      if (this.#isLarge(at, count - done, frame + done)) {
        if (!this.#mapLarge(at, frame + done, permission)) return this.#undo(page, done);
        done += this.largePage;
        continue;
      }
      let leaf = this.#leaves[at >>> indexBits]!;
      if (leaf === NO_TABLE) leaf = this.#addLeaf(at >>> indexBits);
      if (leaf === NO_TABLE) return this.#undo(page, done);
      const entry = leaf + (at & this.#indexMask) * ENTRY_WORDS;
      u32[entry + 1] = Math.floor((frame + done) / this.#framesOfWord) | high;
      Atomics.store(u32, entry, ((frame + done) << this.#pageShift) | low);
      done++;
    }
    return true;
  }

  /** Clears the entries of `count` pages. The unit may use cached translations of them until an invalidation. */
  unmap(page: number, count: number): void {
    const u32 = this.#memory.u32;
    const indexBits = this.#indexBits;
    for (let done = 0; done < count;) {
      const at = page + done;
      const leaf = this.#leaves[at >>> indexBits]!;
      if (leaf === LARGE) {
        Atomics.store(u32, this.#largeEntry(at), this.#absent);
        this.#leaves[at >>> indexBits] = NO_TABLE;
        done += this.largePage;
        continue;
      }
      // Ordered by the invalidation that follows.
      u32[leaf + (at & this.#indexMask) * ENTRY_WORDS] = this.#absent;
      done++;
    }
  }

  /** The permissions of an address according to the tables in memory. Cold. */
  permissions(low: number, high: number): number {
    const entry = this.#entryOf(this.#pageOf(low, high));
    return entry < 0 ? 0 : this.#permissionsAt(entry);
  }

  /** The guest-physical address of an address according to the tables in memory; -1 where nothing is mapped. Cold. */
  resolve(low: number, high: number): number {
    const page = this.#pageOf(low, high);
    const entry = this.#entryOf(page);
    if (entry < 0 || this.#permissionsAt(entry) === 0) return -1;
    const isLarge = this.#leaves[page >>> this.#indexBits] === LARGE;
    const frame = this.#frameAt(entry) + (isLarge ? page & this.#indexMask : 0);
    return frame * this.granule + (low & (this.granule - 1));
  }

  /** The steps of {@link resolve}: the table of each level, from the highest down, and its entry in memory. Cold. */
  walk(low: number, high: number): readonly AddressStep[] {
    const { largePage, granule } = this;
    const page = this.#pageOf(low, high);
    const steps: AddressStep[] = [];
    for (let level = this.#levels; level >= 1; level--) {
      const run = largePage ** (level - 1);
      const at = this.#upper.get(tableKey(level, Math.floor(page / (run * largePage))));
      if (at === undefined) break;
      const index = Math.floor(page / run) % largePage;
      const entry = at + index * ENTRY_WORDS;
      const table = `page table of level ${this.#format.levelName(level)} at 0x${(at * 4).toString(16)}`;
      const permissions = this.#permissionsAt(entry);
      const may = [
        ...((permissions & PAGE_READ) === 0 ? [] : ['read']),
        ...((permissions & PAGE_WRITE) === 0 ? [] : ['write']),
      ];
      if (may.length === 0) return [...steps, { table, says: `entry ${index} is empty: nothing is mapped there` }];
      const isLarge = level === 2 && this.#format.isLarge(this.#memory.u32[entry]!, this.#memory.u32[entry + 1]!);
      const what = level === 1 ? 'page' : isLarge ? `the ${formatByteSize(granule * largePage)}` : 'the table';
      const where = `0x${(this.#frameAt(entry) * granule).toString(16)}`;
      steps.push({ table, says: `entry ${index} points at ${what} at ${where}, to ${may.join(' and ')}` });
      if (isLarge) break;
    }
    if (steps.length === 0) steps.push({ table: 'page tables', says: 'beyond the addresses that they cover' });
    return steps;
  }

  /** Whether the tables in memory lead each page from `first` up to `end` to itself, to read and to write. Cold. */
  isOneToOne(end: number, first: number = 0): boolean {
    for (let page = first; page < end; page++) {
      const address = page * this.granule;
      const [low, high] = [address % WORD, Math.floor(address / WORD)];
      if (this.resolve(low, high) !== address || this.permissions(low, high) !== (PAGE_READ | PAGE_WRITE)) return false;
    }
    return true;
  }

  /** Frees the tables. Called after the unit stopped. */
  free(): void {
    for (const address of this.#allocated) this.#memory.free(address);
    this.#allocated.length = 0;
  }

  /** The word index of the entry that translates a page, large or not; -1 where there is no table for it. */
  #entryOf(page: number): number {
    if (page >= this.#pages) return -1;
    const leaf = this.#leaves[page >>> this.#indexBits]!;
    if (leaf === NO_TABLE) return -1;
    return leaf === LARGE ? this.#largeEntry(page) : leaf + (page & this.#indexMask) * ENTRY_WORDS;
  }

  #permissionsAt(entry: number): number {
    return this.#format.permissionsOf(this.#memory.u32[entry]!, this.#memory.u32[entry + 1]!);
  }

  /** The page frame that an entry has, without its flags. */
  #frameAt(entry: number): number {
    const [low, high] = [this.#memory.u32[entry]!, this.#memory.u32[entry + 1]!];
    return (high & HIGH_ADDRESS_MASK) * this.#framesOfWord + (low >>> this.#pageShift);
  }

  /**
   * Whether one entry can translate the next large page: both addresses are multiples of it, and no table exists there.
   */
  #isLarge(page: number, left: number, frame: number): boolean {
    return (
      left >= this.largePage &&
      this.#largePages &&
      (page & this.#indexMask) === 0 &&
      frame % this.largePage === 0 &&
      this.#leaves[page >>> this.#indexBits] === NO_TABLE
    );
  }

  #mapLarge(page: number, frame: number, permission: number): boolean {
    if (this.#tableAt(2, page >>> (2 * this.#indexBits)) === NO_TABLE) return false;
    this.#point(this.#largeEntry(page), frame, this.#format.large[permission]!);
    this.#leaves[page >>> this.#indexBits] = LARGE;
    return true;
  }

  /** The word index of the entry of a large page; its table exists. */
  #largeEntry(page: number): number {
    const index = page >>> this.#indexBits;
    return this.#upper.get(tableKey(2, index >>> this.#indexBits))! + (index & this.#indexMask) * ENTRY_WORDS;
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
    const parent = this.#tableAt(level + 1, Math.floor(index / this.largePage));
    const address = parent === NO_TABLE ? 0 : this.#allocate();
    if (address === 0) return NO_TABLE;
    const entry = parent + (index & this.#indexMask) * ENTRY_WORDS;
    this.#point(entry, address / this.granule, this.#format.table(level));
    this.#upper.set(key, address / 4);
    return address / 4;
  }

  /** Writes an entry, its low word last: that makes it valid. */
  #point(entry: number, frame: number, { low, high }: EntryFlags): void {
    const { u32 } = this.#memory;
    u32[entry + 1] = Math.floor(frame / this.#framesOfWord) | high;
    Atomics.store(u32, entry, (frame << this.#pageShift) | low);
  }

  /** Allocates a table that maps nothing. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  #allocateTable(): number {
    const { granule } = this;
    const { u32 } = this.#memory;
    const address = this.#memory.allocate(granule, granule);
    this.#allocated.push(address);
    const end = (address + granule) / 4;
    if (this.#absent !== 0) for (let at = address / 4; at < end; at += ENTRY_WORDS) u32[at] = this.#absent;
    return address;
  }

  /** Returns 0, which is never allocated, when no memory is left. */
  #allocate(): number {
    try {
      return this.#allocateTable();
    } catch (error) {
      if (!isCodedError(error)) throw error;
      return 0;
    }
  }

  #undo(page: number, done: number): false {
    this.unmap(page, done);
    return false;
  }

  #pageOf(low: number, high: number): number {
    return high * this.#framesOfWord + (low >>> this.#pageShift);
  }
}

function tableKey(level: number, index: number): string {
  return `${level}:${index}`;
}
