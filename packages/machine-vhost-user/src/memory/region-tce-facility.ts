import { DmaError } from '@virtio-platform/core';
import {
  H_NOT_ENOUGH_RESOURCES,
  H_PARAMETER,
  H_SUCCESS,
  RTAS_HARDWARE_ERROR,
  RTAS_PARAMETER_ERROR,
  RTAS_SUCCESS,
  TCE_LIST_ENTRIES,
  type DmaWindow,
  type TceFacility,
  type WindowQuery,
} from '@virtio-platform/platform-pseries';
import type { MemoryRegions } from './memory-regions.ts';
import { TceTable } from './tce-table.ts';

/** PCI, host bridge 0; the number of the window is added. */
const FIRST_LIOBN = 0x8000_0000;
/** QEMU SPAPR_PCI_DMA_MAX_WINDOWS. */
const WINDOWS = 2;
const DEFAULT_WINDOW: DmaWindow = { liobn: FIRST_LIOBN, base: 0n, size: 0x4000_0000, pageShift: 12 };
/** Where a window goes while another exists (QEMU dma64_win_addr). */
const SECOND_BASE = 0x0800_0000_0000_0000n;
const PAGE_SHIFTS: readonly number[] = [12, 16, 21, 24];
const MOST_ENTRIES = 2 ** 22;

/**
 * The paravirtual IOMMU of a POWER guest over memory regions. The tables are real; what they allow becomes regions whose
 * guest addresses are bus addresses. While no queue runs entries are only recorded, and `apply` makes each contiguous run
 * one region. While one runs each call takes effect before it returns: the runs of one call become regions, and a call
 * that would take more regions than the back-end has is H_NOT_ENOUGH_RESOURCES and changes nothing.
 *
 * Regions have no permissions: an entry for reading lets the back-end write too. Otherwise as strict as QEMU.
 */
export class RegionTceFacility implements TceFacility {
  readonly defaultWindow: DmaWindow = DEFAULT_WINDOW;
  readonly #memorySize: number;
  readonly #regions: MemoryRegions | undefined;
  readonly #tables: (TceTable | undefined)[] = [new TceTable(DEFAULT_WINDOW)];
  #isApplied = false;

  /** Without `regions` the device ignores the tables, and they are only kept. */
  constructor(memorySize: number, regions: MemoryRegions | undefined) {
    this.#memorySize = memorySize;
    this.#regions = regions;
  }

  apply(): void {
    if (this.#regions === undefined) return;
    const runs = this.#tables.flatMap((table) => table?.runs(0, table.entries, this.#memorySize) ?? []);
    if (runs.length > this.#regions.available) {
      throw new DmaError(
        'ERR_DMA_EXHAUSTED',
        `the TCE tables map ${runs.length} runs of memory, and the back-end takes ${this.#regions.available} regions`,
        { hint: 'map larger buffers, fewer times: driver.buffers: premapped, or a window that maps all of memory' },
      );
    }
    try {
      for (const run of runs) this.#regions.add(run);
    } catch (error) {
      this.#regions.clear();
      throw error;
    }
    this.#isApplied = true;
  }

  withdraw(): void {
    this.#isApplied = false;
    this.#regions?.clear();
  }

  putTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number): number {
    return this.#write(liobn, iobaLow, iobaHigh, 1, (table, index) => table.set(index, tceLow, tceHigh));
  }

  putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number {
    if (count > TCE_LIST_ENTRIES || list.length < 2 * count) return H_PARAMETER;
    return this.#write(liobn, iobaLow, iobaHigh, count, (table, index, i) => {
      table.set(index, list[2 * i]!, list[2 * i + 1]!);
    });
  }

  stuffTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number, count: number): number {
    return this.#write(liobn, iobaLow, iobaHigh, count, (table, index) => table.set(index, tceLow, tceHigh));
  }

  getTce(liobn: number, iobaLow: number, iobaHigh: number, words: Uint32Array): number {
    const table = this.#table(liobn);
    const index = table?.indexOf(iobaLow, iobaHigh) ?? -1;
    if (table === undefined || index < 0) return H_PARAMETER;
    words[0] = table.low(index);
    words[1] = table.high(index);
    return H_SUCCESS;
  }

  queryWindows(): WindowQuery {
    const available = WINDOWS - this.#active().length;
    return { status: RTAS_SUCCESS, available, maxEntries: MOST_ENTRIES, pageShifts: PAGE_SHIFTS };
  }

  createWindow(pageShift: number, windowShift: number): { readonly status: number; readonly window?: DmaWindow } {
    if (!PAGE_SHIFTS.includes(pageShift) || !(windowShift >= pageShift)) return { status: RTAS_PARAMETER_ERROR };
    const active = this.#active();
    const base = active.length === 0 ? DEFAULT_WINDOW.base : SECOND_BASE;
    const number = this.#tables[0] === undefined ? 0 : 1;
    const isTaken = this.#tables[number] !== undefined || active.some((table) => table.window.base === base);
    if (isTaken || !(windowShift - pageShift <= Math.log2(MOST_ENTRIES))) return { status: RTAS_HARDWARE_ERROR };
    const window = { liobn: FIRST_LIOBN + number, base, size: 2 ** windowShift, pageShift };
    this.#tables[number] = new TceTable(window);
    return { status: RTAS_SUCCESS, window };
  }

  /** Removing the last window brings the default one back, unless it was the default one. */
  removeWindow(liobn: number): number {
    const table = this.#table(liobn);
    if (table === undefined) return RTAS_PARAMETER_ERROR;
    this.#remove(table);
    const isLast = this.#active().length === 0;
    if (isLast && table.window !== DEFAULT_WINDOW) this.#tables[0] = new TceTable(DEFAULT_WINDOW);
    return RTAS_SUCCESS;
  }

  resetWindows(): number {
    for (const table of this.#active()) this.#remove(table);
    this.#tables[0] = new TceTable(DEFAULT_WINDOW);
    return RTAS_SUCCESS;
  }

  #remove(table: TceTable): void {
    this.#tables[table.window.liobn - FIRST_LIOBN] = undefined;
    if (this.#isApplied) this.#regions?.replace(table.busAddress(0), table.busAddress(table.entries), []);
  }

  /** Writes `count` entries, those that fit in the window if not all do, and lets the back-end see them. */
  #write(
    liobn: number,
    iobaLow: number,
    iobaHigh: number,
    count: number,
    write: (table: TceTable, index: number, i: number) => void,
  ): number {
    const table = this.#table(liobn);
    const index = table?.indexOf(iobaLow, iobaHigh) ?? -1;
    if (table === undefined || index < 0 || !(count >= 1) || count > table.entries) return H_PARAMETER;
    const fit = Math.min(count, table.entries - index);
    const saved = this.#isApplied ? table.save(index, fit) : undefined;
    for (let i = 0; i < fit; i++) write(table, index + i, i);
    if (saved !== undefined && !this.#show(table, index, fit, saved)) return H_NOT_ENOUGH_RESOURCES;
    return fit === count ? H_SUCCESS : H_PARAMETER;
  }

  /**
   * Replaces the regions of a range of bus addresses by the runs its entries make. Returns false when they are too many.
   * Where the back-end does not see the entries they are again what was `saved`.
   */
  #show(table: TceTable, index: number, count: number, saved: Uint32Array): boolean {
    const runs = table.runs(index, count, this.#memorySize);
    let isShown = false;
    try {
      isShown = this.#regions!.replace(table.busAddress(index), table.busAddress(index + count), runs);
    } finally {
      if (!isShown) table.restore(index, saved);
    }
    return isShown;
  }

  #table(liobn: number): TceTable | undefined {
    return this.#tables[liobn - FIRST_LIOBN];
  }

  #active(): TceTable[] {
    return this.#tables.filter((table) => table !== undefined);
  }
}
