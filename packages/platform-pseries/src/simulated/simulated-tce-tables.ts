import type { MemoryConversion } from '@virtio-platform/core';
import {
  H_PARAMETER,
  H_PERMISSION,
  H_SUCCESS,
  RTAS_HARDWARE_ERROR,
  RTAS_PARAMETER_ERROR,
  RTAS_SUCCESS,
  TCE_LIST_ENTRIES,
  TCE_READ,
  TCE_WRITE,
  type DmaWindow,
  type TceFacility,
  type WindowQuery,
} from '../tce-facility.ts';
import {
  allocateTceTables,
  BASE_HIGH,
  BASE_LOW,
  ENTRIES,
  FROZEN,
  GENERATION,
  PAGE_SHIFT,
  WINDOW_COUNT,
  windowRegister,
  type TceTableState,
} from './tce-table-state.ts';

const WORD = 0x1_0000_0000;
/** PCI, host bridge 0, window 0; the number of the window is added. */
const FIRST_LIOBN = 0x8000_0000;
const DEFAULT_BASE = 0n;
const DEFAULT_PAGE_SHIFT = 12;
/** Where QEMU puts a window while another exists (`dma64_win_addr`). */
const SECOND_BASE = 0x0800_0000_0000_0000n;
const PAGE_SHIFTS: readonly number[] = [12, 16, 21, 24];
/** Tables stay this small however much memory there is: 32 MiB each. */
const MOST_ENTRIES = 2 ** 22;
/** So that a small guest can have a roomy window too. */
const LEAST_ENTRIES = 2 ** 18;

/**
 * The paravirtual IOMMU in software, exactly as strict as QEMU (hw/ppc/spapr_iommu.c, spapr_rtas_ddw.c): a misaligned bus
 * address is rounded down, entries are stored verbatim, and a call that fails half-way has done the first half.
 */
export class SimulatedTceTables implements TceFacility {
  readonly defaultWindow: DmaWindow;
  readonly state: TceTableState;
  readonly ultravisor: MemoryConversion | undefined;
  readonly #registers: Uint32Array;
  readonly #tables: readonly Uint32Array[];
  readonly #mostEntries: number;
  /** Which windows are the default one, as it was at reset: not any window that happens to be at its address. */
  readonly #isDefault: boolean[] = [];

  constructor(options: {
    readonly memorySize: number;
    readonly defaultWindowSize: number;
    readonly ultravisor?: MemoryConversion | undefined;
  }) {
    const { memorySize, defaultWindowSize } = options;
    this.ultravisor = options.ultravisor;
    const defaultEntries = Math.floor(defaultWindowSize / 2 ** DEFAULT_PAGE_SHIFT);
    if (!(defaultEntries >= 1) || defaultEntries > MOST_ENTRIES) {
      throw new RangeError(`a default window of ${defaultWindowSize} bytes has no table here`);
    }
    const forMemory = 2 ** Math.ceil(Math.log2(memorySize / 2 ** DEFAULT_PAGE_SHIFT));
    this.#mostEntries = Math.min(MOST_ENTRIES, Math.max(LEAST_ENTRIES, forMemory, defaultEntries));
    this.state = allocateTceTables(this.#mostEntries);
    this.#registers = new Uint32Array(this.state.registers);
    this.#tables = this.state.tables.map((table) => new Uint32Array(table));
    this.defaultWindow = {
      liobn: FIRST_LIOBN,
      base: DEFAULT_BASE,
      size: defaultEntries * 2 ** DEFAULT_PAGE_SHIFT,
      pageShift: DEFAULT_PAGE_SHIFT,
    };
    this.#enableDefault();
  }

  putTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number): number {
    if (this.#isFrozen) return H_PERMISSION;
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0) return H_PARAMETER;
    if (this.#store(window, index, tceLow, tceHigh)) this.#nextGeneration();
    return H_SUCCESS;
  }

  putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number {
    if (this.#isFrozen) return H_PERMISSION;
    if (!(count >= 1) || count > TCE_LIST_ENTRIES || list.length < 2 * count) return H_PARAMETER;
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0) return H_PARAMETER;
    const fit = Math.min(count, this.#entriesOf(window) - index);
    let hasLost = false;
    for (let i = 0; i < fit; i++) {
      hasLost = this.#store(window, index + i, list[2 * i]!, list[2 * i + 1]!) || hasLost;
    }
    if (hasLost) this.#nextGeneration();
    return fit === count ? H_SUCCESS : H_PARAMETER;
  }

  stuffTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number, count: number): number {
    if (this.#isFrozen) return H_PERMISSION;
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0 || !(count >= 1) || count > this.#entriesOf(window)) return H_PARAMETER;
    const fit = Math.min(count, this.#entriesOf(window) - index);
    let hasLost = false;
    for (let i = 0; i < fit; i++) hasLost = this.#store(window, index + i, tceLow, tceHigh) || hasLost;
    if (hasLost) this.#nextGeneration();
    return fit === count ? H_SUCCESS : H_PARAMETER;
  }

  getTce(liobn: number, iobaLow: number, iobaHigh: number, words: Uint32Array): number {
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0) return H_PARAMETER;
    words[0] = this.#tables[window]![2 * index]!;
    words[1] = this.#tables[window]![2 * index + 1]!;
    return H_SUCCESS;
  }

  queryWindows(): WindowQuery {
    return {
      status: RTAS_SUCCESS,
      available: WINDOW_COUNT - this.#activeWindows(),
      maxEntries: this.#mostEntries,
      pageShifts: PAGE_SHIFTS,
    };
  }

  createWindow(pageShift: number, windowShift: number): { readonly status: number; readonly window?: DmaWindow } {
    if (this.#isFrozen) return { status: RTAS_HARDWARE_ERROR };
    if (!PAGE_SHIFTS.includes(pageShift) || !(windowShift >= pageShift)) return { status: RTAS_PARAMETER_ERROR };
    const entries = 2 ** (windowShift - pageShift);
    const free = this.#entriesOf(0) === 0 ? 0 : this.#entriesOf(1) === 0 ? 1 : -1;
    if (free < 0 || !(entries <= this.#mostEntries)) return { status: RTAS_HARDWARE_ERROR };
    const base = this.#activeWindows() === 0 ? DEFAULT_BASE : SECOND_BASE;
    // QEMU would put a second window at this address over the first.
    if (base === SECOND_BASE && this.#isSecondBaseTaken()) return { status: RTAS_HARDWARE_ERROR };
    this.#enable(free, entries, pageShift, base, false);
    return {
      status: RTAS_SUCCESS,
      window: { liobn: FIRST_LIOBN + free, base, size: entries * 2 ** pageShift, pageShift },
    };
  }

  /** Removing the last window brings the default one back, unless it was the default one. */
  removeWindow(liobn: number): number {
    if (this.#isFrozen) return RTAS_HARDWARE_ERROR;
    const window = liobn - FIRST_LIOBN;
    const entries = this.#entriesOf(window);
    if (entries === 0) return RTAS_PARAMETER_ERROR;
    const wasDefault = this.#isDefault[window]!;
    Atomics.store(this.#registers, windowRegister(window) + ENTRIES, 0);
    this.#tables[window]!.fill(0, 0, 2 * entries);
    this.#nextGeneration();
    if (this.#activeWindows() === 0 && !wasDefault) this.#enableDefault();
    return RTAS_SUCCESS;
  }

  /** A device relies on the tables as they are: nothing changes until its reset. */
  get #isFrozen(): boolean {
    return Atomics.load(this.#registers, FROZEN) !== 0;
  }

  #enableDefault(): void {
    const { size, pageShift, base } = this.defaultWindow;
    this.#enable(0, size / 2 ** pageShift, pageShift, base, true);
  }

  /** The table of a window that is not enabled is all zero. The number of entries is written last: it enables. */
  #enable(window: number, entries: number, pageShift: number, base: bigint, isDefault: boolean): void {
    const at = windowRegister(window);
    this.#isDefault[window] = isDefault;
    this.#registers[at + PAGE_SHIFT] = pageShift;
    this.#registers[at + BASE_LOW] = Number(base & 0xffff_ffffn);
    this.#registers[at + BASE_HIGH] = Number(base >> 32n);
    Atomics.store(this.#registers, at + ENTRIES, entries);
  }

  #activeWindows(): number {
    return (this.#entriesOf(0) > 0 ? 1 : 0) + (this.#entriesOf(1) > 0 ? 1 : 0);
  }

  #isSecondBaseTaken(): boolean {
    const high = Number(SECOND_BASE >> 32n);
    for (let window = 0; window < WINDOW_COUNT; window++) {
      if (this.#entriesOf(window) > 0 && this.#registers[windowRegister(window) + BASE_HIGH] === high) return true;
    }
    return false;
  }

  /** 0 for a window that does not exist, whatever the number. */
  #entriesOf(window: number): number {
    return window === 0 || window === 1 ? this.#registers[windowRegister(window) + ENTRIES]! : 0;
  }

  /** The entry that translates a bus address, or -1. */
  #indexOf(window: number, low: number, high: number): number {
    const entries = this.#entriesOf(window);
    if (entries === 0) return -1;
    const at = windowRegister(window);
    const offset = (high - this.#registers[at + BASE_HIGH]!) * WORD + (low - this.#registers[at + BASE_LOW]!);
    const index = Math.floor(offset / (1 << this.#registers[at + PAGE_SHIFT]!));
    return index < entries ? Math.max(index, -1) : -1;
  }

  /**
   * Writes an entry so that another thread never sees a permission with the wrong address: the permission is in the low word,
   * which goes away first and comes last. Returns whether the device lost something.
   */
  #store(window: number, index: number, low: number, high: number): boolean {
    const table = this.#tables[window]!;
    const at = 2 * index;
    const oldLow = table[at]!;
    const oldPermission = oldLow & (TCE_READ | TCE_WRITE);
    const isMoved = table[at + 1] !== high || ((oldLow ^ low) & ~(TCE_READ | TCE_WRITE)) !== 0;
    if (isMoved) {
      table[at] = 0;
      table[at + 1] = high;
    }
    table[at] = low;
    return oldPermission !== 0 && (isMoved || (oldPermission & ~low) !== 0);
  }

  #nextGeneration(): void {
    Atomics.add(this.#registers, GENERATION, 1);
  }
}
