/**
 * Converts guest pages between private (only the guest sees them) and shared (devices see them too). What the pages held is not
 * preserved. All memory starts private. Compare Linux `set_memory_decrypted` and `uv_share_page`.
 */
export interface MemoryConversion {
  /** `address` and `length` are multiples of the page size. Returns false when the host refused; the state is then unknown and the memory must not be reused. */
  setShared(address: number, length: number): boolean;
  setPrivate(address: number, length: number): boolean;
}
