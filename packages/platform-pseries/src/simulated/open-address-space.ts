import {
  TranslatedAddressSpace,
  type DeviceAddressSpace,
  type FaultLog,
  type GuestMemory,
} from '@virtio-platform/core';
import { isTceTableState } from './tce-table-state.ts';
import { TceTranslation } from './tce-translation.ts';

/** Where a worker finds {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens what a device that offers ACCESS_PLATFORM reaches, in this thread or another: `state` is a `TceTableState`. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isTceTableState(state))
    throw new TypeError('the state of a pseries address space is that of simulated TCE tables');
  return new TranslatedAddressSpace(memory, faults, new TceTranslation(state));
}
