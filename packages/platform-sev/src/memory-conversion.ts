import type { FacilityToken } from '@virtio-platform/core';

/**
 * Converts guest pages between private (encrypted with the guest's key) and shared (plain, and visible to devices). What the
 * pages held is not preserved. All memory starts private. Compare Linux `set_memory_decrypted`.
 */
export interface MemoryConversion {
  /** `address` and `length` are multiples of the page size. Returns false when the host refused; the state is then unknown and the memory must not be reused. */
  setShared(address: number, length: number): boolean;
  setPrivate(address: number, length: number): boolean;
}

export const MEMORY_CONVERSION: FacilityToken = Symbol.for('@virtio-platform/platform-sev:MemoryConversion');
