import { FULL_ADDRESSING } from '@virtio-platform/core/dma';
import type { AddressRange, CoherentMemory, DeviceAddressing, DmaMapping, DmaPath } from '@virtio-platform/core/dma';
import type { GuestMemory, LeakLog } from '@virtio-platform/core/memory';
import { DirectTceWindow } from './direct-tce-window.ts';
import { DynamicTceWindow } from './dynamic-tce-window.ts';
import { openDdwWindow, windowError, type DdwSize } from './open-ddw-window.ts';
import type { PseriesOptions } from './pseries-options.ts';
import type { WindowKind, WindowOptions } from './window-options.ts';
import { TceDmaMapping } from './tce-dma-mapping.ts';
import type { TceFacility } from './tce-facility.ts';
import type { TakenWindows } from './takeover/take-over-tables.ts';
import { TceWindow } from './tce-window.ts';

/**
 * Bytes of a dynamic 64-bit window: 2 GiB, because the JavaScript engine allocates numbers from 2^31 on, a few bytes
 * for each mapping on the hot path.
 */
const DYNAMIC_BYTES = 2 ** 31;
/** Pages of a dynamic 64-bit window with large pages: as many as a deep queue needs. */
const DYNAMIC_PAGES_AT_LEAST = 2 ** 12;

/** Pages of a dynamic 64-bit window, at most. */
export function dynamicPages(pageSize: number): number {
  return Math.max(DYNAMIC_PAGES_AT_LEAST, DYNAMIC_BYTES / pageSize);
}

/** The window that all queues of a device share. */
export interface OpenedWindow {
  openMapping(capacity: number, coherent?: CoherentMemory): DmaMapping;
  /** Whether the table maps every page to its own physical address. */
  isIdentity(): boolean;
  /** Whether it maps all of guest memory. */
  readonly reachesAllMemory: boolean;
  /** The window, as the platform shows it. */
  readonly range: AddressRange;
  /** Clears or removes the window. */
  close(): void;
}

/** The path of mappings in a window. */
export function windowPath({ mapping }: WindowOptions): Extract<DmaPath, 'identity' | 'linear' | 'translated'> {
  return mapping === 'dynamic' ? 'translated' : mapping;
}

/**
 * Opens the window that the options ask for; `leaks` gets what it cannot take back. A 64-bit window that was taken over
 * is used instead of a new one. Throws {@link DmaError} `ERR_DMA_WINDOW`, and then no window or entry is left, except
 * what is held.
 */
export function openWindow(
  facility: TceFacility,
  memory: GuestMemory,
  options: PseriesOptions,
  leaks: LeakLog,
  taken?: TakenWindows,
  { addressBits }: DeviceAddressing = FULL_ADDRESSING,
): OpenedWindow {
  const { kind, mapping, pageSize } = options.window;
  // Not checked: the machine ends soon, and a window that it did not remove ends with it. One that is held stays.
  const remove = (table: TceWindow): void => {
    if (taken !== undefined && table.window === taken.dynamic) {
      if (taken.isHeld) return;
      taken.dynamic = undefined;
    }
    facility.removeWindow(table.window.liobn);
  };
  const { multiTce } = options;
  const defaultWindow = (): TceWindow => new TceWindow(facility, facility.defaultWindow, { multiTce });

  const openDdw = (size: DdwSize): TceWindow =>
    taken?.dynamic === undefined
      ? openDdwWindow(facility, pageSize, size, { multiTce })
      : new TceWindow(facility, taken.dynamic, { multiTce });

  if (mapping === 'identity') {
    const table = defaultWindow();
    const window = DirectTceWindow.open(memory, table, 'identity', { addressBits });
    return opened(window, table, () => window.clear());
  }
  if (mapping === 'linear') {
    const table = openDdw({ bytes: memory.size });
    if (taken?.isHeld === true && table.window === taken.dynamic)
      return opened(DirectTceWindow.adopt(memory, table, 'linear'), table, () => {});
    try {
      return opened(DirectTceWindow.open(memory, table, 'linear'), table, () => remove(table));
    } catch (error) {
      remove(table);
      throw error;
    }
  }
  const table = kind === 'ddw' ? openDdw({ mostPages: dynamicPages(pageSize) }) : defaultWindow();
  // Linux reserves this page too (iommu_table_reserve_pages): QEMU treats ring address 0 as unset.
  const { base } = table.window;
  const reservedPages = base === 0n ? 1 : 0;
  const most = addressBits >= 64 ? table.pages : Math.floor((2 ** addressBits - Number(base)) / table.pageSize);
  if (most < 1)
    throw windowError(
      `the window begins at bus address 0x${base.toString(16)}, and the device takes ${addressBits} bits`,
      'have the device take more bits (device.dmaBits), or lower platform.defaultWindowAddress (simulated machine)',
    );
  const window = new DynamicTceWindow(table, options.onHypercallError, reservedPages, taken?.held, most);
  const more = moreRoom(kind, { addressBits, isCut: most < table.pages });
  return {
    openMapping: (capacity, coherent) => new TceDmaMapping(memory, window, capacity, { coherent, leaks, more }),
    isIdentity: () => false,
    reachesAllMemory: false,
    range: rangeOf(table),
    close: () => (kind === 'ddw' ? remove(table) : undefined),
  };
}

/** What gives more room than a window in which each mapping has bus pages of its own. */
function moreRoom(
  kind: WindowKind,
  { addressBits, isCut }: { readonly addressBits: number; readonly isCut: boolean },
): string {
  if (isCut) return 'have the device take more bits (device.dmaBits)';
  if (kind === 'ddw') return 'raise platform.window.pageSize';
  const larger = 'raise platform.defaultWindowSize of the simulated machine';
  // A 64-bit window begins beyond what such a device takes.
  return addressBits < 64 ? larger : `use platform.window: { kind: ddw } where the machine has one, or ${larger}`;
}

function opened(window: DirectTceWindow, table: TceWindow, close: () => void): OpenedWindow {
  return {
    openMapping: (capacity, coherent) => window.openMapping(capacity, coherent),
    isIdentity: () => window.isIdentity(),
    reachesAllMemory: window.reachesAllMemory,
    range: rangeOf(table),
    close,
  };
}

/** What people call a window that begins above 32 bits a 64-bit one, as Linux does. */
function rangeOf({ window }: TceWindow): AddressRange {
  const { base, size } = window;
  const width = base + BigInt(size) > 2n ** 32n ? '64-bit' : '32-bit';
  return { what: `${width} DMA window`, kind: 'window', deviceAddress: base, length: size };
}
