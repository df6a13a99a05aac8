import type { FailureSchedule } from '@virtio-platform/core/failure';
import type { MemoryConversion } from '@virtio-platform/core/memory';
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
import type { DynamicWindows, Hypervisor } from './hypervisor.ts';
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
import { UnseenEntries } from './unseen-entries.ts';

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

/** Windows at once; 0 where there are no calls for windows. */
const WINDOW_LIMITS: Readonly<Record<DynamicWindows, number>> = { beside: WINDOW_COUNT, replace: 1, none: 0 };
const PERMISSIONS = TCE_READ | TCE_WRITE;

export interface SimulatedTceOptions {
  /** Bytes of guest memory. */
  readonly memorySize: number;
  readonly defaultWindowSize: number;
  readonly ultravisor?: MemoryConversion | undefined;
  /** `qemu` unless given. */
  readonly hypervisor?: Hypervisor;
  /** `beside` unless given. */
  readonly dynamicWindows?: DynamicWindows;
  /** Which invalidations get lost. */
  readonly lostInvalidations?: FailureSchedule;
}

/**
 * The paravirtual IOMMU in software, as strict as QEMU (hw/ppc/spapr_iommu.c, spapr_rtas_ddw.c) or as KVM: see {@link Hypervisor}.
 * The tables are what the device sees; the guest reads its own entries, which differ where an invalidation got lost.
 */
export class SimulatedTceTables implements TceFacility {
  readonly defaultWindow: DmaWindow;
  readonly state: TceTableState;
  readonly ultravisor: MemoryConversion | undefined;
  readonly #registers: Uint32Array;
  readonly #tables: readonly Uint32Array[];
  readonly #mostEntries: number;
  readonly #memorySize: number;
  readonly #isStrict: boolean;
  readonly #windowLimit: number;
  readonly #unseen: UnseenEntries;
  /** Which windows are the default one, as it was at reset: not any window that happens to be at its address. */
  readonly #isDefault: boolean[] = [];

  /** Whether the hypercall took anything from the device that it knows of. */
  #hasTaken = false;

  constructor(options: SimulatedTceOptions) {
    const { memorySize, defaultWindowSize } = options;
    this.ultravisor = options.ultravisor;
    this.#memorySize = memorySize;
    this.#isStrict = options.hypervisor === 'kvm';
    this.#windowLimit = WINDOW_LIMITS[options.dynamicWindows ?? 'beside'];
    this.#unseen = new UnseenEntries(options.lostInvalidations);
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
    if (index < 0 || (this.#isStrict && !this.#isSound(window, tceLow, tceHigh))) return H_PARAMETER;
    this.#begin();
    this.#store(window, index, tceLow, tceHigh);
    this.#finish();
    return H_SUCCESS;
  }

  putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number {
    if (this.#isFrozen) return H_PERMISSION;
    if (!this.#isCount(count) || count > TCE_LIST_ENTRIES || list.length < 2 * count) return H_PARAMETER;
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0) return H_PARAMETER;
    const fit = Math.min(count, this.#entriesOf(window) - index);
    if (this.#isStrict && !(fit === count && this.#isSoundList(window, list, count))) return H_PARAMETER;
    this.#begin();
    for (let i = 0; i < fit; i++) this.#store(window, index + i, list[2 * i]!, list[2 * i + 1]!);
    this.#finish();
    return fit === count ? H_SUCCESS : H_PARAMETER;
  }

  stuffTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number, count: number): number {
    if (this.#isFrozen) return H_PERMISSION;
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0 || !this.#isCount(count) || count > this.#entriesOf(window)) return H_PARAMETER;
    const fit = Math.min(count, this.#entriesOf(window) - index);
    if (this.#isStrict && !(fit === count && (tceLow & PERMISSIONS) === 0)) return H_PARAMETER;
    this.#begin();
    for (let i = 0; i < fit; i++) this.#store(window, index + i, tceLow, tceHigh);
    this.#finish();
    return fit === count ? H_SUCCESS : H_PARAMETER;
  }

  getTce(liobn: number, iobaLow: number, iobaHigh: number, words: Uint32Array): number {
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0) return H_PARAMETER;
    const unseen = this.#unseen.get(window, index);
    words[0] = unseen?.[0] ?? this.#tables[window]![2 * index]!;
    words[1] = unseen?.[1] ?? this.#tables[window]![2 * index + 1]!;
    return H_SUCCESS;
  }

  queryWindows(): WindowQuery {
    if (this.#windowLimit === 0) return { status: RTAS_PARAMETER_ERROR, available: 0, maxEntries: 0, pageShifts: [] };
    return {
      status: RTAS_SUCCESS,
      available: Math.max(0, this.#windowLimit - this.#activeWindows()),
      maxEntries: this.#mostEntries,
      pageShifts: PAGE_SHIFTS,
    };
  }

  createWindow(pageShift: number, windowShift: number): { readonly status: number; readonly window?: DmaWindow } {
    if (this.#windowLimit === 0) return { status: RTAS_PARAMETER_ERROR };
    if (this.#isFrozen) return { status: RTAS_HARDWARE_ERROR };
    if (!PAGE_SHIFTS.includes(pageShift) || !(windowShift >= pageShift)) return { status: RTAS_PARAMETER_ERROR };
    const entries = 2 ** (windowShift - pageShift);
    if (this.#activeWindows() >= this.#windowLimit || !(entries <= this.#mostEntries))
      return { status: RTAS_HARDWARE_ERROR };
    const base = this.#activeWindows() === 0 ? DEFAULT_BASE : SECOND_BASE;
    // QEMU would put a second window at this address over the first.
    if (base === SECOND_BASE && this.#isSecondBaseTaken()) return { status: RTAS_HARDWARE_ERROR };
    const free = this.#entriesOf(0) === 0 ? 0 : 1;
    this.#enable(free, entries, pageShift, base, false);
    return {
      status: RTAS_SUCCESS,
      window: { liobn: FIRST_LIOBN + free, base, size: entries * 2 ** pageShift, pageShift },
    };
  }

  /** Removing the last window brings the default one back, unless it was the default one. */
  removeWindow(liobn: number): number {
    if (this.#windowLimit === 0) return RTAS_PARAMETER_ERROR;
    if (this.#isFrozen) return RTAS_HARDWARE_ERROR;
    const window = liobn - FIRST_LIOBN;
    if (this.#entriesOf(window) === 0) return RTAS_PARAMETER_ERROR;
    const wasDefault = this.#isDefault[window]!;
    this.#disable(window);
    if (this.#activeWindows() === 0 && !wasDefault) this.#enableDefault();
    return RTAS_SUCCESS;
  }

  resetWindows(): number {
    if (this.#windowLimit === 0) return RTAS_PARAMETER_ERROR;
    if (this.#isFrozen) return RTAS_HARDWARE_ERROR;
    for (let window = 0; window < WINDOW_COUNT; window++) this.#disable(window);
    this.#enableDefault();
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

  #disable(window: number): void {
    const entries = this.#entriesOf(window);
    Atomics.store(this.#registers, windowRegister(window) + ENTRIES, 0);
    this.#tables[window]!.fill(0, 0, 2 * entries);
    this.#unseen.forget(window);
    this.#nextGeneration();
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

  /** QEMU takes no list of nothing; KVM does nothing with it. */
  #isCount(count: number): boolean {
    return count >= (this.#isStrict ? 0 : 1);
  }

  /** Whether an entry that gives a permission points at a page of memory, and says nothing else. */
  #isSound(window: number, low: number, high: number): boolean {
    if ((low & PERMISSIONS) === 0) return true;
    const pageSize = 1 << this.#registers[windowRegister(window) + PAGE_SHIFT]!;
    return (low & (pageSize - 1) & ~PERMISSIONS) === 0 && high * WORD + ((low & -pageSize) >>> 0) < this.#memorySize;
  }

  #isSoundList(window: number, list: Uint32Array, count: number): boolean {
    for (let i = 0; i < count; i++) if (!this.#isSound(window, list[2 * i]!, list[2 * i + 1]!)) return false;
    return true;
  }

  /** The entry that translates a bus address, or -1; also -1 for a bus address inside a page, where that is not rounded down. */
  #indexOf(window: number, low: number, high: number): number {
    const entries = this.#entriesOf(window);
    if (entries === 0) return -1;
    const at = windowRegister(window);
    const offset = (high - this.#registers[at + BASE_HIGH]!) * WORD + (low - this.#registers[at + BASE_LOW]!);
    const pageSize = 1 << this.#registers[at + PAGE_SHIFT]!;
    if (this.#isStrict && (low & (pageSize - 1)) !== 0) return -1;
    const index = Math.floor(offset / pageSize);
    return index < entries ? Math.max(index, -1) : -1;
  }

  #begin(): void {
    this.#hasTaken = false;
    this.#unseen.begin();
  }

  #finish(): void {
    if (this.#hasTaken) this.#nextGeneration();
  }

  /**
   * Writes an entry so that another thread never sees a permission with the wrong address: the permission is in the low word,
   * which goes away first and comes last. Where that takes something from the device, it has to be told, and that can get lost.
   */
  #store(window: number, index: number, low: number, high: number): void {
    const table = this.#tables[window]!;
    const at = 2 * index;
    const oldLow = table[at]!;
    const isMoved = table[at + 1] !== high || ((oldLow ^ low) & ~PERMISSIONS) !== 0;
    const oldPermissions = oldLow & PERMISSIONS;
    if (oldPermissions !== 0 && (isMoved || (oldPermissions & ~low) !== 0)) {
      if (this.#unseen.isLost()) return this.#unseen.hide(window, index, low, high);
      this.#hasTaken = true;
    }
    this.#unseen.show(window, index);
    if (isMoved) {
      table[at] = 0;
      table[at + 1] = high;
    }
    table[at] = low;
  }

  #nextGeneration(): void {
    Atomics.add(this.#registers, GENERATION, 1);
  }
}
