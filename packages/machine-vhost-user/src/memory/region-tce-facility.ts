import { DmaError } from '@virtio-platform/core';
import {
  H_NOT_ENOUGH_RESOURCES,
  H_PARAMETER,
  H_SUCCESS,
  FIRST_LIOBN,
  MOST_ENTRIES,
  TCE_LIST_ENTRIES,
  WINDOW_COUNT,
  WindowedTables,
  type DmaWindow,
  type TceFacility,
} from '@virtio-platform/platform-pseries';
import type { MemoryRegions } from './memory-regions.ts';
import { TceTable } from './tce-table.ts';

/** Bytes of the default window. */
const DEFAULT_WINDOW_SIZE = 0x4000_0000;

/**
 * The paravirtual IOMMU of a POWER guest over memory regions. The tables are kept here, and each contiguous run of
 * mapped entries becomes a region of the back-end, whose guest addresses are bus addresses. Before `apply` entries are
 * only recorded. After it each call takes effect before it returns: its runs become regions, and a call that needs more
 * regions than the back-end has fails with H_NOT_ENOUGH_RESOURCES and changes nothing.
 *
 * Regions have no permissions: an entry for reading lets the back-end write too. Otherwise as strict as QEMU.
 */
export class RegionTceFacility extends WindowedTables implements TceFacility {
  readonly #memorySize: number;
  readonly #regions: MemoryRegions | undefined;
  readonly #tables: (TceTable | undefined)[] = [];
  #isApplied = false;

  /** Without `regions` the device ignores the tables, and entries are only recorded. */
  constructor(memorySize: number, regions: MemoryRegions | undefined) {
    super();
    this.#memorySize = memorySize;
    this.#regions = regions;
    this.startWindows({
      defaultWindowSize: DEFAULT_WINDOW_SIZE,
      limit: WINDOW_COUNT,
      mostEntries: MOST_ENTRIES,
    });
  }

  /** Maps the recorded entries as regions. Throws {@link DmaError} `ERR_DMA_EXHAUSTED` when there are too many. */
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

  /** Removes all regions; entries are only recorded from here on. */
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

  /** The tables of this machine never freeze. */
  override get isFrozen(): boolean {
    return false;
  }

  override openWindow(number: number, window: DmaWindow): void {
    this.#tables[number] = new TceTable(window);
  }

  override closeWindow(number: number): void {
    const table = this.#tables[number]!;
    this.#tables[number] = undefined;
    if (this.#isApplied) this.#regions?.replace(table.busAddress(0), table.busAddress(table.entries), []);
  }

  /** Writes `count` entries, or as many as fit in the window, and updates the regions of the back-end. */
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
   * Replaces the regions of a range of bus addresses by the runs of its entries. Returns false when there are too many.
   * Without success the entries are restored from `saved`.
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
}
