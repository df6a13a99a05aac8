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
/** What a device of a POWER guest reaches memory through. Structured-cloneable; all of it is shared memory. */
export interface PseriesAddressSpaceState {
  /** `undefined` for a device that ignores the tables. */
  readonly tables: TceTableState | undefined;
  /** Which pages a secure guest shared; `undefined` where the guest is not secure. */
  readonly pages: SharedArrayBuffer | undefined;
}

/** Where a worker finds {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens what a device reaches, in this thread or another. */
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
