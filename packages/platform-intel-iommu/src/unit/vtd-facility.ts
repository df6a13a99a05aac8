import { DmaError, type FacilityToken } from '@virtio-platform/core';
/**
 * The registers of one Intel VT-d remapping unit. Root, context and page tables are ordinary guest memory that the unit
 * walks by itself. Offsets are those of the register file (VT-d specification, chapter 10 or 11 by revision).
 */
export interface VtdFacility {
  /** Requester id of the device: bus << 8 | devfn. */
  readonly sourceId: number;
  read32(offset: number): number;
  write32(offset: number, value: number): void;
  /** Reads a 64-bit register into words[0] (low) and words[1] (high). */
  read64(offset: number, words: Uint32Array): void;
  write64(offset: number, low: number, high: number): void;
}

/** Token of {@link VtdFacility}. */
export const VTD_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-intel-iommu:VtdFacility');

/** The error for options that the unit does not support. */
export function unsupported(message: string, hint: string): DmaError {
  return new DmaError('ERR_IOMMU_UNSUPPORTED', `intel-iommu: ${message}`, { hint });
}

/** The error for a unit that does not complete a command in bounded time. */
export function unresponsive(message: string): DmaError {
  return new DmaError('ERR_IOMMU_UNRESPONSIVE', `intel-iommu: ${message}`, {
    hint: 'the remapping unit is broken, or is not one; a device that is refused now reaches nothing through it',
  });
}
