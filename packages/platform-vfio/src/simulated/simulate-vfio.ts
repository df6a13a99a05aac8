import type { SimulatedHardware } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE, type AddressSpaceBlueprint } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ENOTTY, EPERM } from '../container/errno.ts';
import {
  VFIO_CONTAINER,
  type ContainerType,
  type NoiommuContainer,
  type VfioContainer,
} from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import { IoPageTable, translatedAddressSpace } from './io-page-table.ts';
import { SimulatedCompatContainer } from './simulated-compat-container.ts';
import { SimulatedIoas } from './simulated-ioas.ts';
import { SimulatedSpaprContainer } from './simulated-spapr-container.ts';
import { SimulatedType1Container } from './simulated-type1-container.ts';
import { TceWindows, windowedAddressSpace } from './tce-windows.ts';

interface SimulatedVfio {
  readonly container: VfioContainer;
  /** The address space of a device behind the IOMMU. */
  readonly translated: AddressSpaceBlueprint;
}

/**
 * Simulates a container and the IOMMU that it programs. A device that does not offer ACCESS_PLATFORM bypasses the
 * IOMMU, as QEMU's devices do.
 */
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
  return { container: translating(type, memory, table, options), translated: translatedAddressSpace(table) };
}

function translating(
  type: Exclude<ContainerType, 'noiommu' | 'spapr-v1' | 'spapr-v2'>,
  memory: GuestMemory,
  table: IoPageTable,
  options: VfioOptions,
): VfioContainer {
  switch (type) {
    case 'iommufd':
      return new SimulatedIoas(memory, table, options);
    case 'iommufd-type1':
    case 'iommufd-type1v2':
      return new SimulatedCompatContainer(type, memory, table, options);
    default:
      return new SimulatedType1Container(type, memory, table, options);
  }
}

/** A simulated no-IOMMU container (`vfio_noiommu_open`, `vfio_container_attach_group`). */
export class SimulatedNoiommuContainer implements NoiommuContainer {
  readonly type = 'noiommu';
  readonly #isAllowed: boolean;

  constructor({ unsafeNoiommuMode, capSysRawio }: VfioOptions) {
    this.#isAllowed = unsafeNoiommuMode && capSysRawio;
  }

  attach(): number {
    return this.#isAllowed ? 0 : EPERM;
  }

  mapDma(_address: number, _iova: number, _size: number, _flags: number): number {
    return ENOTTY;
  }

  unmapDma(_iova: number, _size: number, _flags?: number): number {
    return ENOTTY;
  }
}
