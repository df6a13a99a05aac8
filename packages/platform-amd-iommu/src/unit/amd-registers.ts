/**
 * Offset of the base of the device table in the registers of the unit; the next ones are offsets too (AMD I/O
 * Virtualization Technology specification 48882, section 3.4). Each register has 64 bits.
 */
export const DEVICE_TABLE_REG = 0x00;
/** Base and size of the command buffer. */
export const COMMAND_BASE_REG = 0x08;
/** Base and size of the event log. */
export const EVENT_BASE_REG = 0x10;
/** Control. */
export const CONTROL_REG = 0x18;
/** Extended features. */
export const FEATURES_REG = 0x30;
/** Where the unit reads the next command: bytes from the base. */
export const COMMAND_HEAD_REG = 0x2000;
/** Where the driver writes the next command. */
export const COMMAND_TAIL_REG = 0x2008;
/** Where the driver reads the next event. */
export const EVENT_HEAD_REG = 0x2010;
/** Where the unit writes the next event. */
export const EVENT_TAIL_REG = 0x2018;
/** Status. */
export const STATUS_REG = 0x2020;

/** Control: the unit translates. */
export const IOMMU_ENABLE = 0x1;
/** Control: events are logged. */
export const EVENT_LOG_ENABLE = 0x4;
/** Control: commands are fetched. */
export const COMMAND_ENABLE = 0x1000;

/** Status, written with 1 to clear: an event found no place in the log, and the log has stopped. */
export const EVENT_OVERFLOW = 0x1;
/** Status, written with 1 to clear: an event was logged. */
export const EVENT_LOGGED = 0x2;
/** Status, written with 1 to clear: a command asked for an interrupt. */
export const WAIT_INTERRUPT = 0x4;
/** Status: events are logged. */
export const EVENT_LOG_RUNS = 0x8;
/** Status: commands are fetched. It clears where the unit stops at one. */
export const COMMANDS_RUN = 0x10;

/** High word of the bases of command buffer and event log: log2 of the entries. */
export const LENGTH_SHIFT = 24;
/** Log2 of the fewest entries of a command buffer and an event log: 256 of 16 bytes, a page. */
export const LEAST_LENGTH = 8;
/** Low bits of the base of the device table: pages of 4 KiB, less one. */
export const TABLE_SIZE_MASK = 0x1ff;

/** Extended features: INVALIDATE_IOMMU_ALL (IASup). */
export const INVALIDATES_ALL = 0x40;
/** Extended features: levels of page tables beyond four (HATS). */
export const LEVELS_SHIFT = 10;
/** Mask of HATS, after the shift; 3 is reserved. */
export const LEVELS_MASK = 3;

/** In configuration space of the unit's PCI function: the capability of an IOMMU (id 0xf), of type 3. */
export const CAPABILITY_ID = 0x0f;
/** Its type, in bits 18 to 16. */
export const CAPABILITY_TYPE = 3;
/** Its header: the unit also caches that nothing is mapped (NpCache). */
export const CACHES_ABSENCE = 0x0400_0000;
