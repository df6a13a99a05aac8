/** Second word of an event: its code (specification 48882, section 2.5). */
export const CODE_SHIFT = 28;
/** An entry of the device table has reserved bits. */
export const ILLEGAL_DEVICE_ENTRY = 1;
/** An access of a device was refused. */
export const IO_PAGE_FAULT = 2;
/** The device table is out of reach. */
export const DEVICE_TABLE_ERROR = 3;
/** A page table is out of reach. */
export const PAGE_TABLE_ERROR = 4;
/** A command is none. */
export const ILLEGAL_COMMAND = 5;
/** The command buffer is out of reach. */
export const COMMAND_ERROR = 6;
/** A device did not answer that it dropped its translations. */
export const DEVICE_CACHE_TIMEOUT = 7;
/** A request that no device makes, such as a read of the addresses of interrupts. */
export const INVALID_REQUEST = 8;

/** Second word of IO_PAGE_FAULT: the entries on the way are present (PR). */
export const FAULT_PRESENT = 0x0010_0000;
/** A write (RW). The specification defines it with PR alone; units set it always, and Linux reads it so. */
export const FAULT_WRITE = 0x0020_0000;
/** A permission is missing (PE). */
export const FAULT_PERMISSION = 0x0040_0000;
/** Reserved bits are set in an entry (RZ); without it and PE, its level cannot be. */
export const FAULT_RESERVED = 0x0080_0000;

/** Event names, as Linux writes them to its log. */
export const EVENT_NAMES: readonly (string | undefined)[] = [
  undefined,
  'ILLEGAL_DEV_TABLE_ENTRY',
  'IO_PAGE_FAULT',
  'DEV_TAB_HARDWARE_ERROR',
  'PAGE_TAB_HARDWARE_ERROR',
  'ILLEGAL_COMMAND_ERROR',
  'COMMAND_HARDWARE_ERROR',
  'IOTLB_INV_TIMEOUT',
  'INVALID_DEVICE_REQUEST',
];

/** Whether an event has the id of a device. */
export function namesDevice(code: number): boolean {
  return code !== ILLEGAL_COMMAND && code !== COMMAND_ERROR && code !== DEVICE_CACHE_TIMEOUT;
}
