import type { CoherentMemory, DmaMapping, DmaPath } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { DirectTceWindow } from './direct-tce-window.ts';
import { DynamicTceWindow } from './dynamic-tce-window.ts';
import { openDdwWindow } from './open-ddw-window.ts';
import type { PseriesOptions, WindowOptions } from './pseries-options.ts';
import { TceDmaMapping } from './tce-dma-mapping.ts';
import type { TceFacility } from './tce-facility.ts';
import { TceWindow } from './tce-window.ts';

/**
 * How large a dynamic 64-bit window is: 2 GiB, because offsets beyond 2^31 are numbers that the engine allocates, which would
 * cost the hot path a few bytes for each mapping; but with large pages as many as a deep queue needs.
 */
const DYNAMIC_BYTES = 2 ** 31;
const DYNAMIC_PAGES_AT_LEAST = 2 ** 12;

/** The window that all queues share: how they map in it, and how it is given back. */
export interface OpenedWindow {
  openMapping(capacity: number, coherent?: CoherentMemory): DmaMapping;
  /** Compares what the table says of all its pages with the physical addresses. */
  isIdentity(): boolean;
  /** Whether it maps all of guest memory. */
  readonly reachesAllMemory: boolean;
  close(): void;
}

/** The path of mappings in a window. */
export function windowPath({ mapping }: WindowOptions): Extract<DmaPath, 'identity' | 'linear' | 'translated'> {
  return mapping === 'dynamic' ? 'translated' : mapping;
}

/** Opens the window that the options ask for. Throws {@link DmaError} `ERR_DMA_WINDOW`, and then nothing is left behind. */
export function openWindow(facility: TceFacility, memory: GuestMemory, options: PseriesOptions): OpenedWindow {
  const { kind, mapping, pageSize } = options.window;
  // Not checked: a machine that does not take its window back is about to end, and the window with it.
  const remove = (table: TceWindow): void => void facility.removeWindow(table.window.liobn);
  const defaultWindow = (): TceWindow => new TceWindow(facility, facility.defaultWindow);

  if (mapping === 'identity') {
    const window = DirectTceWindow.open(memory, defaultWindow(), 'identity');
    return opened(window, () => window.clear());
  }
  if (mapping === 'linear') {
    const table = openDdwWindow(facility, pageSize, { bytes: memory.size });
    try {
      return opened(DirectTceWindow.open(memory, table, 'linear'), () => remove(table));
    } catch (error) {
      remove(table);
      throw error;
    }
  }
  const mostPages = Math.max(DYNAMIC_PAGES_AT_LEAST, DYNAMIC_BYTES / pageSize);
  const table = kind === 'ddw' ? openDdwWindow(facility, pageSize, { mostPages }) : defaultWindow();
  // A device may take a ring at address 0 for none, as QEMU does: Linux keeps that page to itself too (iommu_table_reserve_pages).
  const window = new DynamicTceWindow(table, options.onHypercallError, table.window.base === 0n ? 1 : 0);
  return {
    openMapping: (capacity, coherent) => new TceDmaMapping(memory, window, capacity, coherent),
    isIdentity: () => false,
    reachesAllMemory: false,
    close: () => (kind === 'ddw' ? remove(table) : undefined),
  };
}

function opened(window: DirectTceWindow, close: () => void): OpenedWindow {
  return {
    openMapping: (capacity, coherent) => window.openMapping(capacity, coherent),
    isIdentity: () => window.isIdentity(),
    reachesAllMemory: window.reachesAllMemory,
    close,
  };
}
