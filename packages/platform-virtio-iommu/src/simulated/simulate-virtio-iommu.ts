import type { SimulatedHardware } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { VIRTIO_IOMMU_FACILITY } from '../unit/virtio-iommu-facility.ts';
import type { VirtioIommuOptions } from '../virtio-iommu-options.ts';
import { ADDRESS_SPACE_MODULE, openAddressSpace } from './iommu-translation.ts';
import { SimulatedIommu } from './simulated-iommu.ts';

/** Simulates a virtio-iommu. A device without ACCESS_PLATFORM bypasses it, as in QEMU. */
export function simulateVirtioIommu(memory: GuestMemory, options: VirtioIommuOptions): SimulatedHardware {
  const unit = new SimulatedIommu(memory, options.unit);
  const translated = { module: ADDRESS_SPACE_MODULE, state: unit.state, open: openAddressSpace };
  return {
    facilities: new Map([[VIRTIO_IOMMU_FACILITY, unit]]),
    addressSpace: (offersAccessPlatform) => (offersAccessPlatform ? translated : PHYSICAL_ADDRESS_SPACE),
  };
}
