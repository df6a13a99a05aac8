import { DmaError, type FacilityToken } from '@virtio-platform/core';
import type { Transport } from '@virtio-platform/core/device';

/** A virtio-iommu as its driver reaches it. */
export interface VirtioIommuFacility {
  /** The registers of the unit itself, a virtio device. The platform drives it, and the machine disposes of it. */
  readonly transport: Transport;
  /** The number of the device behind the unit: on PCI bus << 8 | devfn. */
  readonly endpoint: number;
  /**
   * Whether a device behind it raises its own interrupts alone, because the interrupt controller tells devices apart,
   * as the ITS of a GICv3 does (Linux msi_device_has_isolated_msi). `undefined` is `false`.
   */
  readonly isolatedMsi?: boolean | undefined;
}

/** Token of {@link VirtioIommuFacility}. */
export const VIRTIO_IOMMU_FACILITY: FacilityToken = Symbol.for(
  '@virtio-platform/platform-virtio-iommu:VirtioIommuFacility',
);

/** The error for options that the unit does not support, and for a device that is no such unit. */
export function unsupported(message: string, hint: string): DmaError {
  return new DmaError('ERR_IOMMU_UNSUPPORTED', `virtio-iommu: ${message}`, { hint });
}

/** The error for a unit that does not answer a request, or answers what no driver can go on with. */
export function unresponsive(
  message: string,
  hint = 'the unit is broken, or is not one; a device that is refused now reaches nothing through it',
): DmaError {
  return new DmaError('ERR_IOMMU_UNRESPONSIVE', `virtio-iommu: ${message}`, { hint });
}
