import { deviceAddressOffset } from '@virtio-platform/core/dma';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import {
  H_FUNCTION,
  H_PARAMETER,
  H_PERMISSION,
  H_SUCCESS,
  TCE_LIST_ENTRIES,
  TCE_READ,
  TCE_WRITE,
  type DmaWindow,
  type TceFacility,
} from '../tce-facility.ts';
import { DEFAULT_PAGE_SHIFT, FIRST_LIOBN, MOST_ENTRIES, WINDOW_COUNT } from '../tce-windows.ts';
import { WindowedTables } from '../windowed-tables.ts';
import {
  allocateTceTables,
  BASE_HIGH,
  BASE_LOW,
  ENTRIES,
  FROZEN,
  GENERATION,
  PAGE_SHIFT,
  windowRegister,
  type TceTableState,
} from './tce-table-state.ts';
import { UnseenEntries } from './unseen-entries.ts';

const WORD = 0x1_0000_0000;
/**
 * How strict the simulated hypervisor is. `qemu` is hw/ppc/spapr_iommu.c: it rounds a misaligned bus address down,
 * stores entries verbatim, and a call that fails half-way has done the first half. `kvm` is book3s_64_vio.c, and
 * PowerVM: it checks everything before it changes anything. The bus address must be at a page, an entry with
 * permissions must point at a page of memory and have no other bits, and H_STUFF_TCE only takes permissions away. KVM
 * passes some of the calls that it refuses to its userspace; the simulation refuses them.
 */
export const HYPERVISORS = ['qemu', 'kvm'] as const;
/** One of {@link HYPERVISORS}. */
export type Hypervisor = (typeof HYPERVISORS)[number];

/**
 * Which windows can be created besides the default one. `beside`: one more (QEMU). `replace`: one window in all, so the
 * guest removes the default one first, and only a reset or the removal of the other restores it. `none`: the firmware
 * does not know the calls.
 */
export const DYNAMIC_WINDOWS = ['beside', 'replace', 'none'] as const;
/** One of {@link DYNAMIC_WINDOWS}. */
export type DynamicWindows = (typeof DYNAMIC_WINDOWS)[number];

/** Tables have at least this many entries, so that a small guest can have a window larger than its memory. */
const LEAST_ENTRIES = 2 ** 18;

/** Windows at once; 0 where there are no calls for windows. */
const WINDOW_LIMITS: Readonly<Record<DynamicWindows, number>> = { beside: WINDOW_COUNT, replace: 1, none: 0 };
const PERMISSIONS = TCE_READ | TCE_WRITE;

/** How to set up {@link SimulatedTceTables}. */
export interface SimulatedTceOptions {
  /** Bytes of guest memory. */
  readonly memorySize: number;
  /** Bytes. */
  readonly defaultWindowSize: number;
  /** `qemu` unless given. */
  readonly hypervisor?: Hypervisor;
  /** `beside` unless given. */
  readonly dynamicWindows?: DynamicWindows;
  /** Whether the calls on several entries exist; they do unless `false`. */
  readonly multiTce?: boolean | undefined;
  /** Where windows begin, and the log2 of page sizes that can be created; see {@link TceWindowsOptions}. */
  readonly defaultBase?: bigint | undefined;
  readonly secondBase?: bigint | undefined;
  readonly pageShifts?: readonly number[] | undefined;
  /** Which invalidations get lost. */
  readonly lostInvalidations?: FailureSchedule;
}

/**
 * The paravirtual IOMMU in software, as strict as QEMU (hw/ppc/spapr_iommu.c) or as KVM: see {@link Hypervisor}. The
 * device translates through the tables. H_GET_TCE reads the entries that the guest wrote, which differ from the tables
 * where an invalidation was lost.
 */
export class SimulatedTceTables extends WindowedTables implements TceFacility {
  readonly state: TceTableState;
  readonly multiTce: boolean;
  readonly #registers: Uint32Array;
  readonly #tables: readonly Uint32Array[];
  /** By window: the inverse of its page size, so that an address is divided by a product, which is exact. */
  readonly #pagesPerByte = new Float64Array(WINDOW_COUNT);
  readonly #memorySize: number;
  readonly #isStrict: boolean;
  readonly #unseen: UnseenEntries;
  /** Whether the current hypercall removed a translation and the device was told. */
  #hasTaken = false;

  constructor(options: SimulatedTceOptions) {
    super();
    const { memorySize, defaultWindowSize } = options;
    this.multiTce = options.multiTce !== false;
    this.#memorySize = memorySize;
    this.#isStrict = options.hypervisor === 'kvm';
    const limit = WINDOW_LIMITS[options.dynamicWindows ?? 'beside'];
    this.#unseen = new UnseenEntries(options.lostInvalidations);
    const defaultEntries = Math.floor(defaultWindowSize / 2 ** DEFAULT_PAGE_SHIFT);
    if (!(defaultEntries >= 1) || defaultEntries > MOST_ENTRIES) {
      throw new RangeError(`a default window of ${defaultWindowSize} bytes has no table here`);
    }
    const forMemory = 2 ** Math.ceil(Math.log2(memorySize / 2 ** DEFAULT_PAGE_SHIFT));
    const mostEntries = Math.min(MOST_ENTRIES, Math.max(LEAST_ENTRIES, forMemory, defaultEntries));
    this.state = allocateTceTables(mostEntries);
    this.#registers = new Uint32Array(this.state.registers);
    this.#tables = this.state.tables.map((table) => new Uint32Array(table));
    const size = defaultEntries * 2 ** DEFAULT_PAGE_SHIFT;
    const { defaultBase, secondBase, pageShifts } = options;
    this.startWindows({ defaultWindowSize: size, limit, mostEntries, defaultBase, secondBase, pageShifts });
  }

  get failed(): Readonly<Record<string, number>> {
    return this.#unseen.failed;
  }

  putTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number): number {
    if (this.isFrozen) return H_PERMISSION;
    const window = liobn - FIRST_LIOBN;
    const index = this.#indexOf(window, iobaLow, iobaHigh);
    if (index < 0 || (this.#isStrict && !this.#isSound(window, tceLow, tceHigh))) return H_PARAMETER;
    this.#begin();
    this.#store(window, index, tceLow, tceHigh);
    this.#finish();
    return H_SUCCESS;
  }

  putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number {
    if (!this.multiTce) return H_FUNCTION;
    if (this.isFrozen) return H_PERMISSION;
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
    if (!this.multiTce) return H_FUNCTION;
    if (this.isFrozen) return H_PERMISSION;
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

  /**
   * While a device relies on the tables as they are, nothing changes until its reset. A plain load: the driver learns
   * in order that the device has started.
   */
  override get isFrozen(): boolean {
    return this.#registers[FROZEN] !== 0;
  }

  /** The table of a closed window is all zero. The number of entries is written last: it opens the window. */
  override openWindow(window: number, { base, size, pageShift }: DmaWindow): void {
    const at = windowRegister(window);
    this.#registers[at + PAGE_SHIFT] = pageShift;
    this.#pagesPerByte[window] = 2 ** -pageShift;
    this.#registers[at + BASE_LOW] = Number(base & 0xffff_ffffn);
    this.#registers[at + BASE_HIGH] = Number(base >> 32n);
    Atomics.store(this.#registers, at + ENTRIES, size / 2 ** pageShift);
  }

  override closeWindow(window: number): void {
    const entries = this.#entriesOf(window);
    Atomics.store(this.#registers, windowRegister(window) + ENTRIES, 0);
    this.#tables[window]!.fill(0, 0, 2 * entries);
    this.#unseen.forget(window);
    this.#nextGeneration();
  }

  /** Entries of a window; 0 for a number without a window. */
  #entriesOf(window: number): number {
    return window === 0 || window === 1 ? this.#registers[windowRegister(window) + ENTRIES]! : 0;
  }

  /** QEMU refuses an empty list; KVM accepts it and does nothing. */
  #isCount(count: number): boolean {
    return count >= (this.#isStrict ? 0 : 1);
  }

  /** Whether an entry with a permission points at a page of memory and has no other bits. */
  #isSound(window: number, low: number, high: number): boolean {
    if ((low & PERMISSIONS) === 0) return true;
    const pageSize = 1 << this.#registers[windowRegister(window) + PAGE_SHIFT]!;
    return (low & (pageSize - 1) & ~PERMISSIONS) === 0 && high * WORD + ((low & -pageSize) >>> 0) < this.#memorySize;
  }

  #isSoundList(window: number, list: Uint32Array, count: number): boolean {
    for (let i = 0; i < count; i++) if (!this.#isSound(window, list[2 * i]!, list[2 * i + 1]!)) return false;
    return true;
  }

  /** The entry of a bus address, or -1. KVM also refuses a bus address inside a page, which QEMU rounds down. */
  #indexOf(window: number, low: number, high: number): number {
    const entries = this.#entriesOf(window);
    if (entries === 0) return -1;
    const at = windowRegister(window);
    const registers = this.#registers;
    const offset = deviceAddressOffset(low, high, registers[at + BASE_LOW]!, registers[at + BASE_HIGH]!);
    const pageSize = 1 << registers[at + PAGE_SHIFT]!;
    if (this.#isStrict && (low & (pageSize - 1)) !== 0) return -1;
    const pages = offset * this.#pagesPerByte[window]!;
    return pages >= 0 && pages < entries ? pages | 0 : -1;
  }

  #begin(): void {
    this.#hasTaken = false;
    this.#unseen.begin();
  }

  #finish(): void {
    if (this.#hasTaken) this.#nextGeneration();
  }

  /**
   * Writes an entry so that another thread never sees a permission with the wrong address: the low word with the
   * permission is cleared first and written last. Where the write takes a translation away, the device needs an
   * invalidation, which can be lost.
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
