import { PAGE_SIZE } from '@virtio-platform/core/memory';

/** Entries of one table, and the 9 address bits that choose one. */
const TABLE_ENTRIES = 512;
const INDEX_MASK = TABLE_ENTRIES - 1;
/** Words before the tables: the generation. */
const HEADER_WORDS = 1;
const WORD = 4;

/** Bits of a leaf: the device may read, the device may write. As in VT-d second-level entries. */
export const ENTRY_READ = 1;
export const ENTRY_WRITE = 2;

/** Tables there is room for: one covers 2 MiB of I/O virtual addresses. */
export const MAX_TABLES = 16384;

/**
 * A second-level I/O page table as the IOMMU walks it: 512 entries a table, 4 KiB pages, three levels for 39 address bits and
 * four for 48. It lies in shared memory, so that a device in another thread walks the same table. An entry is one 32-bit word
 * (page frame or table number, shifted by 2, and the permissions), so it is never seen half written; 0 is not present.
 * Tables are never freed: a walk that is under way never ends in a table that now belongs to another address.
 */
export class IoPageTable {
  readonly buffer: SharedArrayBuffer;
  readonly addressWidth: number;
  readonly #words: Uint32Array;
  readonly #levels: number;
  /** Only whoever made the table adds to it. */
  #tables = 1;

  /** Opens a table that another thread made. */
  constructor(buffer: SharedArrayBuffer, addressWidth: number) {
    this.buffer = buffer;
    this.addressWidth = addressWidth;
    this.#words = new Uint32Array(buffer);
    this.#levels = (addressWidth - 12) / 9;
  }

  /** Makes an empty table. The memory is not touched, and so not used, before it is needed. */
  static create(addressWidth: 39 | 48): IoPageTable {
    return new IoPageTable(new SharedArrayBuffer((HEADER_WORDS + MAX_TABLES * TABLE_ENTRIES) * WORD), addressWidth);
  }

  /** Changes with {@link invalidate}. */
  get generation(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Whether an address lies in what the IOMMU translates. Hot: no allocation. */
  covers(high: number): boolean {
    return high < 2 ** (this.addressWidth - 32);
  }

  /** The leaf that translates an address, or 0. Hot: no allocation. */
  entry(low: number, high: number): number {
    let table = 0;
    for (let level = this.#levels; level > 1; level--) {
      const next = Atomics.load(this.#words, wordOf(table, level, low, high));
      if (next === 0) return 0;
      table = next >>> 2;
    }
    return Atomics.load(this.#words, wordOf(table, 1, low, high));
  }

  /** Maps one page. Returns false when there is no memory for another table. */
  set(iova: number, pageFrame: number, permissions: number): boolean {
    const low = iova >>> 0;
    const high = Math.floor(iova / 0x1_0000_0000);
    let table = 0;
    for (let level = this.#levels; level > 1; level--) {
      const at = wordOf(table, level, low, high);
      const next = Atomics.load(this.#words, at);
      if (next !== 0) table = next >>> 2;
      else if (this.#tables === MAX_TABLES) return false;
      else {
        table = this.#tables++;
        Atomics.store(this.#words, at, (table << 2) | ENTRY_READ | ENTRY_WRITE);
      }
    }
    Atomics.store(this.#words, wordOf(table, 1, low, high), (pageFrame << 2) | permissions);
    return true;
  }

  /** Unmaps one page, if it is mapped. */
  clear(iova: number): void {
    const low = iova >>> 0;
    const high = Math.floor(iova / 0x1_0000_0000);
    if (this.entry(low, high) === 0) return;
    let table = 0;
    for (let level = this.#levels; level > 1; level--)
      table = Atomics.load(this.#words, wordOf(table, level, low, high)) >>> 2;
    Atomics.store(this.#words, wordOf(table, 1, low, high), 0);
  }

  /** Maps `size` bytes of memory at `address`, whole pages, or nothing: returns false when there is no memory for tables. */
  fill(iova: number, size: number, address: number, permissions: number): boolean {
    for (let done = 0; done < size; done += PAGE_SIZE) {
      if (this.set(iova + done, (address + done) / PAGE_SIZE, permissions)) continue;
      this.empty(iova, done);
      return false;
    }
    return true;
  }

  /** Unmaps every page of a range. Devices go on with what they have cached until {@link invalidate}. */
  empty(iova: number, size: number): void {
    for (let done = 0; done < size; done += PAGE_SIZE) this.clear(iova + done);
  }

  /** What the kernel does after unmapping: no device goes on with a translation it has cached. */
  invalidate(): void {
    Atomics.add(this.#words, 0, 1);
  }
}

/** Where in the buffer the entry of an address is, in one table of one level (1 holds the leaves). */
function wordOf(table: number, level: number, low: number, high: number): number {
  return HEADER_WORDS + table * TABLE_ENTRIES + indexAt(level, low, high);
}

function indexAt(level: number, low: number, high: number): number {
  if (level === 1) return (low >>> 12) & INDEX_MASK;
  if (level === 2) return (low >>> 21) & INDEX_MASK;
  if (level === 3) return ((low >>> 30) | (high << 2)) & INDEX_MASK;
  return (high >>> 7) & INDEX_MASK;
}
