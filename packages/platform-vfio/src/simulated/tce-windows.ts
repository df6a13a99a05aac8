import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import {
  TranslatedAddressSpace,
  type AddressSpaceBlueprint,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { IoPageTable, IoPageTableTranslation, type IoPageTableState } from './io-page-table.ts';

/** How many windows one group has (IOMMU_TABLE_GROUP_MAX_TABLES). */
export const WINDOW_COUNT = 2;
/** Bytes of the largest window: the entries of each of the two windows have half of a 48-bit table. */
export const LARGEST_WINDOW: number = 2 ** 47;
/** How many levels the table of a created window can have (POWERNV_IOMMU_MAX_LEVELS). */
export const MOST_LEVELS = 5;

const TABLE_ADDRESS_WIDTH = 48;
const WORD = 0x1_0000_0000;
/**
 * Registers of a window: first bus address as low and high word, the power of two of bytes in it (0: closed), bytes
 * that one TCE translates.
 */
const START_LOW = 0;
const START_HIGH = 1;
const SIZE_SHIFT = 2;
const PAGE_BYTES = 3;
const REGISTERS = 4;

/** What the device's thread needs to use the same windows. Structured-cloneable. */
export interface TceWindowsState {
  readonly registers: SharedArrayBuffer;
  readonly table: IoPageTableState;
}

/**
 * The windows of bus addresses of one sPAPR device. The entries of both windows are in one page table, one window
 * behind the other; a TCE of a large page has an entry for each 4 KiB. All of it is shared memory, for a device in
 * another thread.
 */
export class TceWindows {
  readonly table: IoPageTable;
  readonly #registers: Uint32Array;
  readonly #buffer: SharedArrayBuffer;

  /** Opens windows that another thread created. */
  constructor({ registers, table }: TceWindowsState) {
    this.table = new IoPageTable(table.buffer, table.addressWidth);
    this.#registers = new Uint32Array(registers);
    this.#buffer = registers;
  }

  /** Creates the windows, both closed. */
  static create(): TceWindows {
    const registers = new SharedArrayBuffer(WINDOW_COUNT * REGISTERS * 4);
    return new TceWindows({ registers, table: IoPageTable.create(TABLE_ADDRESS_WIDTH) });
  }

  get state(): TceWindowsState {
    return { registers: this.#buffer, table: { buffer: this.table.buffer, addressWidth: this.table.addressWidth } };
  }

  /** `start` is a multiple of the page, and `size` a power of two of at most {@link LARGEST_WINDOW}. */
  open(window: number, start: number, size: number, pageSize: number): void {
    const at = window * REGISTERS;
    this.#registers[at + START_LOW] = start % WORD;
    this.#registers[at + START_HIGH] = Math.floor(start / WORD);
    this.#registers[at + PAGE_BYTES] = pageSize;
    // Last, because a device in another thread sees the window from this store on.
    Atomics.store(this.#registers, at + SIZE_SHIFT, Math.log2(size));
  }

  close(window: number): void {
    Atomics.store(this.#registers, window * REGISTERS + SIZE_SHIFT, 0);
  }

  isOpen(window: number): boolean {
    return this.size(window) > 0;
  }

  start(window: number): number {
    return this.#registers[window * REGISTERS + START_HIGH]! * WORD + this.#registers[window * REGISTERS + START_LOW]!;
  }

  /** In bytes; 0 for a closed window. */
  size(window: number): number {
    const shift = Atomics.load(this.#registers, window * REGISTERS + SIZE_SHIFT);
    return shift === 0 ? 0 : 2 ** shift;
  }

  pageSize(window: number): number {
    return this.#registers[window * REGISTERS + PAGE_BYTES]!;
  }

  /** The window that contains a bus address, or -1. Hot: no allocation. */
  find(low: number, high: number): number {
    for (let window = 0; window < WINDOW_COUNT; window++) {
      const offset = this.offset(window, low, high);
      if (offset >= 0 && offset < this.size(window)) return window;
    }
    return -1;
  }

  /** Bytes from the start of a window to an address. Exact inside the window: only larger offsets are rounded. Hot. */
  offset(window: number, low: number, high: number): number {
    const at = window * REGISTERS;
    return (high - this.#registers[at + START_HIGH]!) * WORD + (low - this.#registers[at + START_LOW]!);
  }

  /** The address in {@link table} of the entry for `offset` bytes into a window. Hot. */
  tableAddress(window: number, offset: number): number {
    return window * LARGEST_WINDOW + offset;
  }
}

/**
 * The IOMMU of a POWER host: finds the window of a bus address, and walks the table for its entry. Hot: no allocation.
 */
export class TceWindowTranslation extends IoPageTableTranslation {
  readonly #windows: TceWindows;

  constructor(windows: TceWindows) {
    super(windows.table);
    this.#windows = windows;
  }

  override translate(low: number, high: number, access: DeviceAccess): number {
    const window = this.#windows.find(low, high);
    if (window < 0) {
      this.run = PAGE_SIZE - (low % PAGE_SIZE);
      this.cause = 'outside-window';
      return -1;
    }
    const entry = this.#windows.tableAddress(window, this.#windows.offset(window, low, high));
    return super.translate(entry >>> 0, Math.floor(entry / WORD), access);
  }
}

/** Describes how to open the address space of a device behind these windows, in this thread or in the device's. */
export function windowedAddressSpace(windows: TceWindows): AddressSpaceBlueprint {
  return { module: import.meta.url, state: windows.state, open: openAddressSpace };
}

/** Opens what {@link windowedAddressSpace} described; `state` is its state, cloned. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a state always comes from the same blueprint
  const windows = new TceWindows(state as TceWindowsState);
  return new TranslatedAddressSpace(memory, faults, new TceWindowTranslation(windows));
}
