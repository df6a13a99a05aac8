/** Offsets of registers in the register file of a remapping unit (VT-d specification, register descriptions). */
export const VER_REG = 0x00;
export const CAP_REG = 0x08;
export const ECAP_REG = 0x10;
export const GCMD_REG = 0x18;
export const GSTS_REG = 0x1c;
export const RTADDR_REG = 0x20;
export const CCMD_REG = 0x28;
export const FSTS_REG = 0x34;
export const FECTL_REG = 0x38;
/** Counted from where ECAP.IRO says: the address to invalidate, and the command. */
export const IVA_OFFSET = 0;
export const IOTLB_OFFSET = 8;
/** Bytes of one fault recording register, counted from where CAP.FRO says, and of its last word. */
export const FRCD_SIZE = 16;
export const FRCD_LAST_WORD = 12;

/** Global command and status: the bit of a command is where the status says that it is done. */
export const TRANSLATION_ENABLE: number = 2 ** 31;
export const SET_ROOT_POINTER: number = 2 ** 30;
export const WRITE_BUFFER_FLUSH: number = 2 ** 27;
export const QUEUED_INVALIDATION_ENABLE: number = 2 ** 26;
/** What a command must leave as the status has it: all but the bits that start something once. */
export const LASTING_STATUS = 0x96ff_ffff;

/** High word of the context command: go, how much, and how much was done. */
export const CONTEXT_INVALIDATE: number = 2 ** 31;
export const CONTEXT_REQUEST_SHIFT = 29;
export const CONTEXT_ACTUAL_SHIFT = 27;

/** High word of the IOTLB command. */
export const IOTLB_INVALIDATE: number = 2 ** 31;
export const IOTLB_REQUEST_SHIFT = 28;
export const IOTLB_ACTUAL_SHIFT = 25;
export const IOTLB_DRAIN_READS: number = 2 ** 17;
export const IOTLB_DRAIN_WRITES: number = 2 ** 16;

/** How much is invalidated. 0 as the actual granularity: nothing, for the request was not understood. */
export const GRANULARITY_MASK = 3;
export const GLOBAL = 1;
export const DOMAIN_SELECTIVE = 2;
/** For the context cache: one device. */
export const PAGE_SELECTIVE = 3;

/** Fault status: a fault was lost for want of a register; one is pending; the first one's number. */
export const FAULT_OVERFLOW = 1;
export const FAULT_PENDING = 2;
export const FAULT_INDEX_SHIFT = 8;
/** Fault event control: do not interrupt. */
export const FAULT_INTERRUPT_MASK: number = 2 ** 31;

/** Last word of a fault record: it is one, and the access was a read. */
export const FAULT_RECORDED: number = 2 ** 31;
export const FAULT_WAS_READ: number = 2 ** 30;

/** Fault reasons of legacy mode (VT-d specification, appendix on fault reason encodings). */
export const ROOT_NOT_PRESENT = 0x1;
export const CONTEXT_NOT_PRESENT = 0x2;
export const CONTEXT_INVALID = 0x3;
export const BEYOND_WIDTH = 0x4;
export const WRITE_NOT_PERMITTED = 0x5;
export const READ_NOT_PERMITTED = 0x6;
export const TABLE_UNREADABLE = 0x7;
export const ROOT_UNREADABLE = 0x8;
export const CONTEXT_UNREADABLE = 0x9;
export const ROOT_RESERVED = 0xa;
export const CONTEXT_RESERVED = 0xb;
export const ENTRY_RESERVED = 0xc;
export const REQUEST_BLOCKED = 0xd;

/** Low word of an entry of any table. Root and context entries: present. Second level: the device may read, may write, a large page. */
export const PRESENT = 1;
export const ENTRY_READ = 1;
export const ENTRY_WRITE = 2;
export const ENTRY_LARGE = 0x80;

/** Translation types of a context entry, at bit 2: through second-level tables, or untranslated. */
export const TYPE_SHIFT = 2;
export const TYPE_MASK = 3;
export const TYPE_TRANSLATED = 0;
export const TYPE_PASS_THROUGH = 2;

/** Entries of a second-level table, and the address bits that choose one. */
export const TABLE_ENTRIES = 512;
/** Pages of 4 KiB in a large page of 2 MiB. */
export const LARGE_PAGE: number = TABLE_ENTRIES;
export const PAGE_SHIFT = 12;
/** 32-bit words of an entry; of a root or context entry, which has 16 bytes. */
export const ENTRY_WORDS = 2;
export const CONTEXT_WORDS = 4;

/** Writes to these addresses are interrupts and never translated, so nothing can be mapped there. */
export const INTERRUPT_START = 0xfee0_0000;
export const INTERRUPT_END = 0xfef0_0000;
