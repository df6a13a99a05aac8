import { DmaError, type FacilityToken } from '@virtio-platform/core';

/**
 * The registers of one SMMUv3. Stream table, context descriptor, translation tables and both queues are ordinary guest
 * memory that the unit accesses by itself. Offsets are those of the register file, in both pages of 64 KiB (Arm IHI
 * 0070, section 6.2).
 */
export interface SmmuFacility {
  /** StreamID of the device; on PCI its requester id: bus << 8 | devfn. */
  readonly streamId: number;
  /**
   * Whether a device behind it raises its own interrupts alone, because the interrupt controller tells devices apart,
   * as the ITS of a GICv3 does (Linux msi_device_has_isolated_msi). `undefined` is `false`.
   */
  readonly isolatedMsi?: boolean | undefined;
  read32(offset: number): number;
  write32(offset: number, value: number): void;
  /** Writes a 64-bit register. */
  write64(offset: number, low: number, high: number): void;
}

/** Token of {@link SmmuFacility}. */
export const SMMU_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-smmuv3:SmmuFacility');

/** The error for options that the unit does not support. */
export function unsupported(message: string, hint: string): DmaError {
  return new DmaError('ERR_IOMMU_UNSUPPORTED', `smmuv3: ${message}`, { hint });
}

/** The error for a unit that does not complete a command in bounded time. */
export function unresponsive(message: string): DmaError {
  return new DmaError('ERR_IOMMU_UNRESPONSIVE', `smmuv3: ${message}`, {
    hint: 'the SMMU is broken, or is not one; a device that is refused now reaches nothing through it',
  });
}
