import type { SimulatedHardware } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { AmdIommuOptions } from '../amd-iommu-options.ts';
import { AMD_IOMMU_FACILITY } from '../unit/amd-facility.ts';
import { ADDRESS_SPACE_MODULE, openAddressSpace } from './amd-translation.ts';
import { SimulatedAmdIommu } from './simulated-amd-iommu.ts';

/**
 * Simulates a unit. A device without ACCESS_PLATFORM bypasses it, as in QEMU, unless it confines every device.
 */
export function simulateAmdIommu(memory: GuestMemory, options: AmdIommuOptions): SimulatedHardware {
  const unit = new SimulatedAmdIommu(memory, options.unit);
  const translated = { module: ADDRESS_SPACE_MODULE, state: unit.state, open: openAddressSpace };
  return {
    facilities: new Map([[AMD_IOMMU_FACILITY, unit]]),
    addressSpace: (offersAccessPlatform) =>
      offersAccessPlatform || options.confinesEveryDevice ? translated : PHYSICAL_ADDRESS_SPACE,
  };
}
