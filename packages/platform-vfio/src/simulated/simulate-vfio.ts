import type { SimulatedHardware } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE, type AddressSpaceBlueprint } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { VFIO_CONTAINER, type VfioContainer } from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import { IoPageTable } from './io-page-table.ts';
import { translatedAddressSpace } from './io-page-table-translation.ts';
import { SimulatedIoas } from './simulated-ioas.ts';
import { SimulatedNoiommuContainer } from './simulated-noiommu-container.ts';
import { SimulatedSpaprContainer } from './simulated-spapr-container.ts';
import { SimulatedType1Container } from './simulated-type1-container.ts';
import { windowedAddressSpace } from './tce-window-translation.ts';
import { TceWindows } from './tce-windows.ts';

interface SimulatedVfio {
  readonly container: VfioContainer;
  /** What a device reaches that the IOMMU stands before. */
  readonly translated: AddressSpaceBlueprint;
}

/** A container and the IOMMU it programs. A device that does not offer ACCESS_PLATFORM bypasses the IOMMU, as QEMU's do. */
export function simulateVfio(memory: GuestMemory, options: VfioOptions): SimulatedHardware {
  const { container, translated } = simulateContainer(memory, options);
  return {
    facilities: new Map([[VFIO_CONTAINER, container]]),
    addressSpace: (offersAccessPlatform) => (offersAccessPlatform ? translated : PHYSICAL_ADDRESS_SPACE),
  };
}

function simulateContainer(memory: GuestMemory, options: VfioOptions): SimulatedVfio {
  const type = options.container;
  if (type === 'noiommu')
    return { container: new SimulatedNoiommuContainer(options), translated: PHYSICAL_ADDRESS_SPACE };
  if (type === 'spapr-v1' || type === 'spapr-v2') {
    const windows = TceWindows.create();
    const container = new SimulatedSpaprContainer(type, memory, windows, options);
    return { container, translated: windowedAddressSpace(windows) };
  }
  const table = IoPageTable.create(options.addressWidth);
  const container =
    type === 'iommufd'
      ? new SimulatedIoas(memory, table, options)
      : new SimulatedType1Container(type, memory, table, options);
  return { container, translated: translatedAddressSpace(table) };
}
