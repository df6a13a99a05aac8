import type { SimulatedHardware } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { IntelIommuOptions } from '../intel-iommu-options.ts';
import { VTD_FACILITY } from '../vtd-facility.ts';
import { ADDRESS_SPACE_MODULE, openAddressSpace } from './open-address-space.ts';
import { SimulatedVtd } from './simulated-vtd.ts';

/** A remapping unit in software. A device that does not offer ACCESS_PLATFORM bypasses it, as QEMU's do, unless it stands before every device. */
export function simulateIntelIommu(_memory: GuestMemory, options: IntelIommuOptions): SimulatedHardware {
  const unit = new SimulatedVtd(options.unit);
  const translated = { module: ADDRESS_SPACE_MODULE, state: unit.state, open: openAddressSpace };
  return {
    facilities: new Map([[VTD_FACILITY, unit]]),
    addressSpace: (offersAccessPlatform) =>
      offersAccessPlatform || options.confinesEveryDevice ? translated : PHYSICAL_ADDRESS_SPACE,
  };
}
