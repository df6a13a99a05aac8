import { DmaError, type FacilityToken } from '@virtio-platform/core';

/**
 * The registers of one AMD IOMMU, and the configuration space of its own PCI function. Device table, page tables,
 * command buffer and event log are ordinary guest memory that the unit reads and writes by itself. Offsets are those of
 * the registers (specification 48882, section 3.4).
 */
export interface AmdIommuFacility {
  /** Requester id of the device: bus << 8 | devfn. */
  readonly sourceId: number;
  /** Reads a 64-bit register into words[0] (low) and words[1] (high). */
  read64(offset: number, words: Uint32Array): void;
  /** Writes a 64-bit register in one access. */
  write64(offset: number, low: number, high: number): void;
  /** Reads 32 bits of configuration space. */
  readConfig(offset: number): number;
  /** Writes 32 bits of configuration space. */
  writeConfig(offset: number, value: number): void;
  /**
   * Device addresses at which the machine itself noticed that the unit denied an access, in order, since the last call.
   * Absent where the machine notices none.
   */
  takeDenied?(): readonly bigint[];
}

/** Token of {@link AmdIommuFacility}. */
export const AMD_IOMMU_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-amd-iommu:AmdIommuFacility');

/** The error for options that the unit does not support. */
export function unsupported(message: string, hint: string): DmaError {
  return new DmaError('ERR_IOMMU_UNSUPPORTED', `amd-iommu: ${message}`, { hint });
}

/** The error for a unit that does not do in bounded time what it is told. */
export function unresponsive(message: string): DmaError {
  return new DmaError('ERR_IOMMU_UNRESPONSIVE', `amd-iommu: ${message}`, {
    hint: 'the unit is broken, or is not one; a device that is refused now reaches nothing through it',
  });
}
