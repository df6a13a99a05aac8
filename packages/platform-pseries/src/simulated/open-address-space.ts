import {
  PhysicalTranslation,
  TranslatedAddressSpace,
  type DeviceAddressSpace,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PageStates, type GuestMemory } from '@virtio-platform/core/memory';
import { ProtectedTranslation } from './simulated-ultravisor.ts';
import { isTceTableState, type TceTableState } from './tce-table-state.ts';
import { TceTranslation } from './tce-translation.ts';
/** The state behind the address space of a device of a POWER guest. Structured-cloneable, all in shared memory. */
export interface PseriesAddressSpaceState {
  /** `undefined` for a device that ignores the tables. */
  readonly tables: TceTableState | undefined;
  /** Which pages a secure guest shared; `undefined` where the guest is not secure. */
  readonly pages: SharedArrayBuffer | undefined;
}

/** The URL from which a worker imports {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens the address space of a device, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isState(state)) throw new TypeError('the state of a pseries address space is that of simulated TCE tables');
  const { tables, pages } = state;
  const translation = tables === undefined ? new PhysicalTranslation(memory.size) : new TceTranslation(tables);
  const seen =
    pages === undefined ? translation : new ProtectedTranslation(translation, new PageStates(pages), memory.size);
  return new TranslatedAddressSpace(memory, faults, seen);
}

function isState(state: unknown): state is PseriesAddressSpaceState {
  if (typeof state !== 'object' || state === null || !('tables' in state) || !('pages' in state)) return false;
  const { tables, pages } = state;
  return (
    (tables === undefined || isTceTableState(tables)) && (pages === undefined || pages instanceof SharedArrayBuffer)
  );
}
