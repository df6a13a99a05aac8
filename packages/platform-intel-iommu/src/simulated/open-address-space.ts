import { TranslatedAddressSpace, type DeviceAddressSpace, type FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { isVtdState } from './vtd-state.ts';
import { VtdTranslation } from './vtd-translation.ts';

/** Where a worker finds {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens what a device behind a simulated unit reaches, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isVtdState(state)) throw new TypeError('the state of an intel-iommu address space is that of a simulated unit');
  return new TranslatedAddressSpace(memory, faults, new VtdTranslation(memory, state, !faults.isOfProbe));
}
