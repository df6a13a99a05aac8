import {
  RTAS_HARDWARE_ERROR,
  RTAS_PARAMETER_ERROR,
  RTAS_SUCCESS,
  type DmaWindow,
  type WindowQuery,
} from './tce-facility.ts';

/** Logical I/O bus number of window 0 of PCI host bridge 0; the number of the window is added. */
export const FIRST_LIOBN = 0x8000_0000;

/** Windows of a bus (QEMU SPAPR_PCI_DMA_MAX_WINDOWS). */
export const WINDOW_COUNT = 2;

/** The most entries of a table: tables stay this small (32 MiB each) however much memory there is. */
export const MOST_ENTRIES: number = 2 ** 22;

/** log2 of the page size of the default window: 4 KiB. */
export const DEFAULT_PAGE_SHIFT = 12;

/** First bus address of the only window, unless the firmware says another (QEMU `dma_win_addr`). */
export const DEFAULT_BASE = 0n;
/** First bus address of a window beside another, unless the firmware says another (QEMU `dma64_win_addr`). */
export const SECOND_BASE = 0x0800_0000_0000_0000n;
/** log2 of the page sizes of windows that are created, unless the firmware says others (QEMU `pgsz`). */
export const PAGE_SHIFTS: readonly number[] = [12, 16, 21, 24];

/** The tables behind {@link TceWindows}: they learn which windows open and close. */
export interface TceWindowTables {
  /** While true, no window changes: a device relies on the tables as they are. */
  readonly isFrozen: boolean;
  /** Window `number` (0 or 1) exists from here on, with an empty table. */
  openWindow(number: number, window: DmaWindow): void;
  /** Window `number` ceases to exist, and the device loses all of its translations. */
  closeWindow(number: number, window: DmaWindow): void;
}

/** How a host bridge is set up: its default window in bytes, and what can be created. */
export interface TceWindowsOptions {
  readonly defaultWindowSize: number;
  /** Windows at once; 0 where the firmware does not know the calls. */
  readonly limit: number;
  /** Entries of the largest table, at most {@link MOST_ENTRIES}. */
  readonly mostEntries: number;
  /** First bus address of the default window, and of a window in its place; {@link DEFAULT_BASE} unless given. */
  readonly defaultBase?: bigint | undefined;
  /** First bus address of a window beside another; {@link SECOND_BASE} unless given. */
  readonly secondBase?: bigint | undefined;
  /** {@link PAGE_SHIFTS} unless given. */
  readonly pageShifts?: readonly number[] | undefined;
}

/** What `ibm,create-pe-dma-window` answers: an RTAS code, and the window on success. */
export interface CreatedWindow {
  readonly status: number;
  readonly window?: DmaWindow;
}

/**
 * The windows of one host bridge and the RTAS calls that query, create, remove and reset them, as QEMU answers them
 * (hw/ppc/spapr_rtas_ddw.c). All methods return RTAS codes.
 *
 * The windows of a VFIO container (platform-vfio) share only words with these: they answer with errnos, their default
 * window is created late, and they charge the memory lock. No platform imports another.
 */
export class TceWindows {
  readonly defaultWindow: DmaWindow;
  readonly #tables: TceWindowTables;
  readonly #limit: number;
  readonly #mostEntries: number;
  readonly #secondBase: bigint;
  readonly #pageShifts: readonly number[];
  readonly #windows: (DmaWindow | undefined)[] = [];

  /** No window is open before {@link start}. */
  constructor(tables: TceWindowTables, options: TceWindowsOptions) {
    const { defaultWindowSize, limit, mostEntries } = options;
    this.#tables = tables;
    this.#limit = limit;
    this.#mostEntries = mostEntries;
    this.#secondBase = options.secondBase ?? SECOND_BASE;
    this.#pageShifts = options.pageShifts ?? PAGE_SHIFTS;
    this.defaultWindow = {
      liobn: FIRST_LIOBN,
      base: options.defaultBase ?? DEFAULT_BASE,
      size: defaultWindowSize,
      pageShift: DEFAULT_PAGE_SHIFT,
    };
  }

  /** Opens the default window, as after a reset of the machine. */
  start(): void {
    this.#open(0, this.defaultWindow);
  }

  query(): WindowQuery {
    if (this.#limit === 0) return { status: RTAS_PARAMETER_ERROR, available: 0, maxEntries: 0, pageShifts: [] };
    const available = Math.max(0, this.#limit - this.#active);
    return { status: RTAS_SUCCESS, available, maxEntries: this.#mostEntries, pageShifts: this.#pageShifts };
  }

  create(pageShift: number, windowShift: number): CreatedWindow {
    if (this.#limit === 0) return { status: RTAS_PARAMETER_ERROR };
    if (this.#tables.isFrozen) return { status: RTAS_HARDWARE_ERROR };
    if (!this.#pageShifts.includes(pageShift) || !(windowShift >= pageShift)) return { status: RTAS_PARAMETER_ERROR };
    const base = this.#active === 0 ? this.defaultWindow.base : this.#secondBase;
    // QEMU would put a second window at this address over the first.
    const isTaken = this.#windows.some((window) => window?.base === base);
    const isPossible = this.#active < this.#limit && 2 ** (windowShift - pageShift) <= this.#mostEntries;
    if (isTaken || !isPossible) return { status: RTAS_HARDWARE_ERROR };
    const number = this.#windows[0] === undefined ? 0 : 1;
    const window = { liobn: FIRST_LIOBN + number, base, size: 2 ** windowShift, pageShift };
    this.#open(number, window);
    return { status: RTAS_SUCCESS, window };
  }

  /** Removing the last window restores the default one, unless the last window is the default one. */
  remove(liobn: number): number {
    if (this.#limit === 0) return RTAS_PARAMETER_ERROR;
    if (this.#tables.isFrozen) return RTAS_HARDWARE_ERROR;
    const window = this.#windows[liobn - FIRST_LIOBN];
    if (window === undefined) return RTAS_PARAMETER_ERROR;
    this.#close(liobn - FIRST_LIOBN);
    if (this.#active === 0 && window !== this.defaultWindow) this.start();
    return RTAS_SUCCESS;
  }

  /** Leaves the default window alone, with an empty table. */
  reset(): number {
    if (this.#limit === 0) return RTAS_PARAMETER_ERROR;
    if (this.#tables.isFrozen) return RTAS_HARDWARE_ERROR;
    for (let number = 0; number < WINDOW_COUNT; number++) this.#close(number);
    this.start();
    return RTAS_SUCCESS;
  }

  get #active(): number {
    return this.#windows.filter((window) => window !== undefined).length;
  }

  #open(number: number, window: DmaWindow): void {
    this.#windows[number] = window;
    this.#tables.openWindow(number, window);
  }

  #close(number: number): void {
    const window = this.#windows[number];
    if (window === undefined) return;
    this.#windows[number] = undefined;
    this.#tables.closeWindow(number, window);
  }
}
