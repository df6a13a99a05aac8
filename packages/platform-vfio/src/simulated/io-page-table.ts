import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import {
  TranslatedAddressSpace,
  type AddressSpaceBlueprint,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
/** Entries of one table, and the 9 address bits that choose one. */
const TABLE_ENTRIES = 512;
const INDEX_MASK = TABLE_ENTRIES - 1;
/** Words before the tables: the generation. */
const HEADER_WORDS = 1;
const WORD = 4;

/** Bit 0 of a leaf, as in VT-d second-level entries: the device may read. */
export const ENTRY_READ = 1;
/** Bit 1 of a leaf, as in VT-d second-level entries: the device may write. */
export const ENTRY_WRITE = 2;

/** How many tables fit in the buffer: one of the last level covers 2 MiB of I/O virtual addresses. */
export const MAX_TABLES = 16384;

/**
 * A second-level I/O page table as the IOMMU walks it: 512 entries a table, 4 KiB pages, three levels for 39 address
 * bits and four for 48. It is in shared memory, so that a device in another thread walks the same table. An entry is
 * one 32-bit word (page frame or table number, shifted by 2, and the permissions), so a walk never reads a half-written
 * entry; 0 is not present. Only the thread that created the table writes it, so it reads its own entries without an
 * order; a device sees an entry once it sees, in order, the buffer that was published after it, and sees that one is
 * gone by the generation. Tables are never freed, so a concurrent walk never ends in a table that was reused for
 * another address.
 */
export class IoPageTable {
  readonly buffer: SharedArrayBuffer;
  readonly addressWidth: number;
  readonly #words: Uint32Array;
  readonly #levels: number;
  /** Tables in use. Only the thread that created the table adds to it. */
  #tables = 1;

  /** Opens a table that another thread created. */
  constructor(buffer: SharedArrayBuffer, addressWidth: number) {
    this.buffer = buffer;
    this.addressWidth = addressWidth;
    this.#words = new Uint32Array(buffer);
    this.#levels = (addressWidth - 12) / 9;
  }

  /** Creates an empty table. The operating system provides a page of the buffer when it is first touched. */
  static create(addressWidth: 39 | 48): IoPageTable {
    return new IoPageTable(new SharedArrayBuffer((HEADER_WORDS + MAX_TABLES * TABLE_ENTRIES) * WORD), addressWidth);
  }

  /** Changes with each {@link invalidate}. */
  get generation(): number {
    return Atomics.load(this.#words, 0);
  }

  /** The generation by a plain load: see `DeviceAddressSpace.seenGeneration`. */
  get seenGeneration(): number {
    return this.#words[0]!;
  }

  /** Whether the IOMMU translates addresses with this high word. Hot: no allocation. */
  covers(high: number): boolean {
    return high < 2 ** (this.addressWidth - 32);
  }

  /** The leaf that translates an address, or 0. Hot: no allocation. */
  entry(low: number, high: number): number {
    let table = 0;
    for (let level = this.#levels; level > 1; level--) {
      const next = this.#words[wordOf(table, level, low, high)]!;
      if (next === 0) return 0;
      table = next >>> 2;
    }
    return this.#words[wordOf(table, 1, low, high)]!;
  }

  /** Maps one page. Returns false when it takes a table more than {@link MAX_TABLES}. */
  set(iova: number, pageFrame: number, permissions: number): boolean {
    const words = this.#words;
    const low = iova >>> 0;
    const high = Math.floor(iova / 0x1_0000_0000);
    let table = 0;
    for (let level = this.#levels; level > 1; level--) {
      const at = wordOf(table, level, low, high);
      const next = words[at]!;
      if (next !== 0) table = next >>> 2;
      else if (this.#tables === MAX_TABLES) return false;
      else {
        table = this.#tables++;
        words[at] = (table << 2) | ENTRY_READ | ENTRY_WRITE;
      }
    }
    words[wordOf(table, 1, low, high)] = (pageFrame << 2) | permissions;
    return true;
  }

  /** Unmaps one page, if it is mapped. */
  clear(iova: number): void {
    const words = this.#words;
    const low = iova >>> 0;
    const high = Math.floor(iova / 0x1_0000_0000);
    let table = 0;
    for (let level = this.#levels; level > 1; level--) {
      const next = words[wordOf(table, level, low, high)]!;
      if (next === 0) return;
      table = next >>> 2;
    }
    words[wordOf(table, 1, low, high)] = 0;
  }

  /**
   * Maps `size` bytes of memory at `address`, whole pages. Returns false, and maps nothing, when there are too few
   * tables.
   */
  fill(iova: number, size: number, address: number, permissions: number): boolean {
    for (let done = 0; done < size; done += PAGE_SIZE) {
      if (this.set(iova + done, (address + done) / PAGE_SIZE, permissions)) continue;
      this.empty(iova, done);
      return false;
    }
    return true;
  }

  /** Unmaps every page of a range. Devices use cached translations until {@link invalidate}. */
  empty(iova: number, size: number): void {
    for (let done = 0; done < size; done += PAGE_SIZE) this.clear(iova + done);
  }

  /**
   * Bytes from an address that has no entry up to the next one that could have: to the end of what the missing table
   * covers, or of the page.
   */
  emptyRun(iova: number): number {
    const low = iova >>> 0;
    const high = Math.floor(iova / 0x1_0000_0000);
    let table = 0;
    let level = this.#levels;
    for (; level > 1; level--) {
      const next = this.#words[wordOf(table, level, low, high)]!;
      if (next === 0) break;
      table = next >>> 2;
    }
    const span = PAGE_SIZE * TABLE_ENTRIES ** (level - 1);
    return span - (iova % span);
  }

  /** What the kernel does after unmapping: devices drop their cached translations. */
  invalidate(): void {
    Atomics.add(this.#words, 0, 1);
  }
}

/** What the device's thread needs to walk the same table. Structured-cloneable. */
export interface IoPageTableState {
  readonly buffer: SharedArrayBuffer;
  readonly addressWidth: number;
}

/** The IOMMU in front of a device: walks the table for every page of an access. Hot: no allocation. */
export class IoPageTableTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #table: IoPageTable;

  constructor(table: IoPageTable) {
    this.#table = table;
  }

  get generation(): number {
    return this.#table.generation;
  }

  get seenGeneration(): number {
    return this.#table.seenGeneration;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const offset = low % PAGE_SIZE;
    this.run = PAGE_SIZE - offset;
    if (!this.#table.covers(high)) return this.#refuse('outside-window');
    const entry = this.#table.entry(low, high);
    if (entry === 0) return this.#refuse('unmapped');
    if (access === 'read' && (entry & ENTRY_READ) === 0) return this.#refuse('read-not-permitted');
    if (access === 'write' && (entry & ENTRY_WRITE) === 0) return this.#refuse('write-not-permitted');
    return (entry >>> 2) * PAGE_SIZE + offset;
  }

  #refuse(cause: FaultCause): -1 {
    this.cause = cause;
    return -1;
  }
}

/** Describes how to open the address space of a device behind this IOMMU, in this thread or in the device's. */
export function translatedAddressSpace(table: IoPageTable): AddressSpaceBlueprint {
  const state: IoPageTableState = { buffer: table.buffer, addressWidth: table.addressWidth };
  return { module: import.meta.url, state, open: openAddressSpace };
}

/** Opens what {@link translatedAddressSpace} described; `state` is its state, cloned. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a state always comes from the same blueprint
  const { buffer, addressWidth } = state as IoPageTableState;
  return new TranslatedAddressSpace(memory, faults, new IoPageTableTranslation(new IoPageTable(buffer, addressWidth)));
}

/** Index of the word that holds the entry of an address, in one table of one level (1 holds the leaves). */
function wordOf(table: number, level: number, low: number, high: number): number {
  return HEADER_WORDS + table * TABLE_ENTRIES + indexAt(level, low, high);
}

function indexAt(level: number, low: number, high: number): number {
  if (level === 1) return (low >>> 12) & INDEX_MASK;
  if (level === 2) return (low >>> 21) & INDEX_MASK;
  if (level === 3) return ((low >>> 30) | (high << 2)) & INDEX_MASK;
  return (high >>> 7) & INDEX_MASK;
}
