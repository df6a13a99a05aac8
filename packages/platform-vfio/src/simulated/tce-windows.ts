import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { IoPageTable } from './io-page-table.ts';
import type { IoPageTableState } from './io-page-table-translation.ts';

/** Windows of one group (IOMMU_TABLE_GROUP_MAX_TABLES). */
export const WINDOW_COUNT = 2;
/** Bytes of the largest window there is room for: the entries of each have half of a 39-bit table. */
export const LARGEST_WINDOW: number = 2 ** 38;

const TABLE_ADDRESS_WIDTH = 39;
const WORD = 0x1_0000_0000;
/** Registers of a window: first bus address as low and high word, pages of 4 KiB in it (0: no window), bytes that one TCE translates. */
const START_LOW = 0;
const START_HIGH = 1;
const PAGES = 2;
const PAGE_BYTES = 3;
const REGISTERS = 4;

/** What the device's thread needs to look at the same windows. */
export interface TceWindowsState {
  readonly registers: SharedArrayBuffer;
  readonly table: IoPageTableState;
}

/**
 * The windows of bus addresses of one sPAPR device, and where their entries are: those of both lie behind one another in one page
 * table, in which a TCE of a large page has an entry for each 4 KiB. All of it is shared memory, for a device in another thread.
 */
export class TceWindows {
  readonly table: IoPageTable;
  readonly #registers: Uint32Array;
  readonly #buffer: SharedArrayBuffer;

  /** Opens windows that another thread made. */
  constructor({ registers, table }: TceWindowsState) {
    this.table = new IoPageTable(table.buffer, table.addressWidth);
    this.#registers = new Uint32Array(registers);
    this.#buffer = registers;
  }

  /** Makes windows none of which is open. */
  static create(): TceWindows {
    const registers = new SharedArrayBuffer(WINDOW_COUNT * REGISTERS * 4);
    return new TceWindows({ registers, table: IoPageTable.create(TABLE_ADDRESS_WIDTH) });
  }

  get state(): TceWindowsState {
    return { registers: this.#buffer, table: { buffer: this.table.buffer, addressWidth: this.table.addressWidth } };
  }

  /** `start` and `size` are multiples of the page, and the size at most {@link LARGEST_WINDOW}. */
  open(window: number, start: number, size: number, pageSize: number): void {
    const at = window * REGISTERS;
    this.#registers[at + START_LOW] = start % WORD;
    this.#registers[at + START_HIGH] = Math.floor(start / WORD);
    this.#registers[at + PAGE_BYTES] = pageSize;
    // Opens it, for a device that looks meanwhile.
    Atomics.store(this.#registers, at + PAGES, size / PAGE_SIZE);
  }

  close(window: number): void {
    Atomics.store(this.#registers, window * REGISTERS + PAGES, 0);
  }

  isOpen(window: number): boolean {
    return this.size(window) > 0;
  }

  start(window: number): number {
    return this.#registers[window * REGISTERS + START_HIGH]! * WORD + this.#registers[window * REGISTERS + START_LOW]!;
  }

  /** 0 for a window that is not open. */
  size(window: number): number {
    return Atomics.load(this.#registers, window * REGISTERS + PAGES) * PAGE_SIZE;
  }

  pageSize(window: number): number {
    return this.#registers[window * REGISTERS + PAGE_BYTES]!;
  }

  /** The window that has a bus address, or -1. Hot: no allocation. */
  find(low: number, high: number): number {
    for (let window = 0; window < WINDOW_COUNT; window++) {
      const offset = this.offset(window, low, high);
      if (offset >= 0 && offset < this.size(window)) return window;
    }
    return -1;
  }

  /** How far behind the start of a window an address is. Exact where it matters: what a number rounds is outside of it. Hot. */
  offset(window: number, low: number, high: number): number {
    const at = window * REGISTERS;
    return (high - this.#registers[at + START_HIGH]!) * WORD + (low - this.#registers[at + START_LOW]!);
  }

  /** Where the entries for `offset` into a window are in {@link table}. Hot. */
  tableAddress(window: number, offset: number): number {
    return window * LARGEST_WINDOW + offset;
  }
}
