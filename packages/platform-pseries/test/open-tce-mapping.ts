import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DynamicTceWindow, TceDmaMapping, TceWindow, type OnHypercallError } from '../src/index.ts';
import { openAddressSpace } from '../src/simulated/open-address-space.ts';
import { RefusingTceTables } from './refusing-tce-tables.ts';

/** Bytes of a page of the default window. */
export const PAGE = 4096;

interface OpenedTceMapping {
  readonly memory: GuestMemory;
  readonly tables: RefusingTceTables;
  readonly window: DynamicTceWindow;
  readonly mapping: TceDmaMapping;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly words: Uint32Array;
}

interface TceMappingOptions {
  /** Pages of the default window. */
  readonly pages?: number;
  /** Whether the mapping is over a 64-bit window of 64 KiB pages. */
  readonly ddw?: boolean;
  readonly capacity?: number;
  readonly onHypercallError?: OnHypercallError;
}

/** A mapping over the default window, or over a 64-bit window. */
export function openTceMapping(options: TceMappingOptions = {}): OpenedTceMapping {
  const { pages = 16, ddw = false, capacity = 64, onHypercallError = 'fail' } = options;
  const memory = new GuestMemory(new SharedArrayBuffer(4 * 2 ** 20));
  const tables = new RefusingTceTables({ memorySize: memory.size, defaultWindowSize: pages * PAGE });
  const chosen = ddw ? tables.createWindow(16, 24).window! : tables.defaultWindow;
  const window = new DynamicTceWindow(new TceWindow(tables, chosen), onHypercallError);
  const faults = new FaultLog();
  return {
    memory,
    tables,
    window,
    faults,
    mapping: new TceDmaMapping(memory, window, capacity),
    space: openAddressSpace(memory, faults, { tables: tables.state, pages: undefined }),
    words: new Uint32Array(2),
  };
}
