/**
 * Offset of the address of the interrupt remapping table, 64 bits, with its size in the low bits (VT-d specification,
 * interrupt remapping, like all below).
 */
export const IRTA_REG = 0xb8;
/** Low word of the table's address: log2 of its entries, less one. */
export const TABLE_SIZE_MASK = 0xf;
/** Low word of the table's address: destinations of 32 bits, which also block the compatibility format. */
export const EXTENDED_INTERRUPTS = 0x800;

/** Global command and status: interrupt remapping. */
export const INTERRUPT_REMAPPING_ENABLE: number = 2 ** 25;
/** Global command and status: use the interrupt remapping table. */
export const SET_INTERRUPT_TABLE: number = 2 ** 24;
/** Global command and status: let interrupts in compatibility format through. */
export const COMPATIBILITY_FORMAT_ENABLE: number = 2 ** 23;

/** Type of a descriptor that drops cached entries of the table: all of them, unless it has the next bit. */
export const INTERRUPT_DESCRIPTOR = 4;
/** First word of that descriptor: only the `2 ** mask` entries around an index. */
export const INTERRUPT_DESCRIPTOR_SELECTIVE = 0x10;
/** First word: shift of the mask. The index is in the second word. */
export const INTERRUPT_DESCRIPTOR_MASK_SHIFT = 27;

/** 32-bit words of an entry of the table. */
export const INTERRUPT_ENTRY_WORDS = 4;
/** First word of an entry: present. */
export const INTERRUPT_PRESENT = 1;
/** First word of an entry: its faults are not recorded. */
export const INTERRUPT_FAULTS_IGNORED = 2;
/** Third word of an entry: shift of the bits of the requester id that do not count (SQ). */
export const SOURCE_QUALIFIER_SHIFT = 16;
/** Third word of an entry: shift of how the requester id is verified (SVT). */
export const SOURCE_VALIDATION_SHIFT = 18;
/** How a requester id is verified: by the id in the entry. 0 is not at all. */
export const VERIFIES_ID = 1;
/** How a requester id is verified: by a range of buses, the first in the high byte of the id in the entry. */
export const VERIFIES_BUS = 2;

/** Address of an interrupt: remappable format, in which address and data name an entry of the table. */
export const REMAPPABLE_FORMAT = 0x10;
/** Address of an interrupt in remappable format: the low half of the data is added to the index. */
export const SUBHANDLE_VALID = 8;
/** Address of an interrupt in remappable format: the highest bit of the index. */
export const HIGHEST_HANDLE_BIT = 4;
/** Address of an interrupt in remappable format: shift of the other bits of the index. */
export const HANDLE_SHIFT = 5;

/** Shift of the index in the high word of a fault record. */
export const FAULT_ENTRY_SHIFT = 16;

/** Fault reasons of interrupts. None of them has an address. */
export const INTERRUPT_REASONS = {
  requestReserved: 0x20,
  beyondTable: 0x21,
  notPresent: 0x22,
  tableUnreadable: 0x23,
  entryReserved: 0x24,
  compatibilityFormat: 0x25,
  otherSource: 0x26,
} as const;
