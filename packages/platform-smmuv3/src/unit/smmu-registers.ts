/**
 * Offset of the first identification register in the register file of an SMMUv3; the next ones are offsets too (Arm
 * IHI 0070, section 6.3).
 */
export const IDR0 = 0x0;
/** Sizes of the queues and of a StreamID. */
export const IDR1 = 0x4;
/** Output addresses and granules. */
export const IDR5 = 0x14;
/** What is enabled. */
export const CR0 = 0x20;
/** What is enabled, as the unit confirms it. */
export const CR0ACK = 0x24;
/** How the unit accesses tables and queues. */
export const CR1 = 0x28;
/** What the unit records and takes part in. */
export const CR2 = 0x2c;
/** What happens to accesses while translation is off. */
export const GBPA = 0x44;
/** Errors of the unit itself: a bit that differs from {@link GERRORN} is active. */
export const GERROR = 0x60;
/** The errors that the driver has acknowledged. */
export const GERRORN = 0x64;
/** Address of the stream table, 64 bits. */
export const STRTAB_BASE = 0x80;
/** Format and size of the stream table. */
export const STRTAB_BASE_CFG = 0x88;
/** Address and size of the command queue, 64 bits. */
export const CMDQ_BASE = 0x90;
/** Where the driver writes the next command. */
export const CMDQ_PROD = 0x98;
/** Which command the unit executes next, and an error. */
export const CMDQ_CONS = 0x9c;
/** Address and size of the event queue, 64 bits. */
export const EVENTQ_BASE = 0xa0;
/** Where the unit writes the next event: in the second page of registers, of 64 KiB. */
export const EVENTQ_PROD = 0x1_00a8;
/** Which event the driver reads next. */
export const EVENTQ_CONS = 0x1_00ac;

/** CR0: accesses are translated. */
export const SMMU_ENABLE = 1;
/** CR0: events are recorded. */
export const EVENTQ_ENABLE = 4;
/** CR0: commands are executed. */
export const CMDQ_ENABLE = 8;
/** CR1: tables and queues are write-back and inner shareable. */
export const CACHED_ACCESSES = 0xd75;
/** CR2: record StreamIDs without an entry, and take no part in broadcast invalidation of the processors. */
export const RECORD_STREAMS_PRIVATELY = 6;

/** GERROR: a command was not executed; CMDQ_CONS says which, and why. */
export const COMMAND_ERROR = 1;
/** GERROR: an event could not be written. QEMU also sets it where the event queue is full. */
export const EVENT_ABORT = 4;
/** GERROR: the unit has entered service failure mode, which it does not leave. */
export const SERVICE_FAILURE = 0x100;
/** Shift of the error in CMDQ_CONS. */
export const COMMAND_ERROR_SHIFT = 24;
/** Mask of the error, after the shift. */
export const COMMAND_ERROR_MASK = 0x7f;
/** Error of CMDQ_CONS: no such command. */
export const COMMAND_ILLEGAL = 1;
/** Error of CMDQ_CONS: the command could not be read. */
export const COMMAND_ABORT = 2;
/** EVENTQ_PROD and EVENTQ_CONS: differs in the two since events were lost. */
export const EVENTS_LOST: number = 2 ** 31;
/** STRTAB_BASE, CMDQ_BASE and EVENTQ_BASE, high word: reads of a processor may allocate in its caches. */
export const ALLOCATE_HINT: number = 2 ** 30;
