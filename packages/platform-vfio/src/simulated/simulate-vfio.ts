import { PHYSICAL_ADDRESS_SPACE, type GuestMemory, type SimulatedHardware } from '@virtio-platform/core';
import type { VfioOptions } from '../options.ts';
import { VFIO_CONTAINER } from '../vfio-container.ts';
import { IoPageTable } from './io-page-table.ts';
import { translatedAddressSpace } from './io-page-table-translation.ts';
import { SimulatedContainer } from './simulated-container.ts';

/** A container and the IOMMU it programs. A device that does not offer ACCESS_PLATFORM bypasses the IOMMU, as QEMU's do. */
export function simulateVfio(memory: GuestMemory, options: VfioOptions): SimulatedHardware {
  const table = IoPageTable.create(options.addressWidth);
  const container = new SimulatedContainer(memory, table, options);
  const translated = translatedAddressSpace(table);
  return {
    facilities: new Map([[VFIO_CONTAINER, container]]),
    addressSpace: (offersAccessPlatform) => (offersAccessPlatform ? translated : PHYSICAL_ADDRESS_SPACE),
  };
}
