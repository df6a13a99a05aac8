import { DmaError, type FacilityToken } from '@virtio-platform/core';
/**
 * One remapping unit of Intel VT-d as the kernel reaches it: its registers. Everything else, root, context and page tables, is ordinary
 * guest memory that the unit walks by itself. Offsets are those of the register file (VT-d specification, chapter 10 or 11 by revision).
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

export const VTD_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-intel-iommu:VtdFacility');

/** The unit cannot do what the options ask of it. */
export function unsupported(message: string, hint: string): DmaError {
  return new DmaError('ERR_IOMMU_UNSUPPORTED', `intel-iommu: ${message}`, { hint });
}

/** The unit did not do what its registers were told, in bounded time. */
export function unresponsive(message: string): DmaError {
  return new DmaError('ERR_IOMMU_UNRESPONSIVE', `intel-iommu: ${message}`, {
    hint: 'the remapping unit is broken, or is not one; a device that is refused now reaches nothing through it',
  });
}
