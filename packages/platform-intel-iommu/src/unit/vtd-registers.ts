/**
 * Offset of the version register in the register file of a remapping unit; the next ones are offsets too (VT-d
 * specification, register descriptions).
 */
export const VER_REG = 0x00;
/** Capabilities, 64 bits. */
export const CAP_REG = 0x08;
/** Extended capabilities, 64 bits. */
export const ECAP_REG = 0x10;
/** Global command. */
export const GCMD_REG = 0x18;
/** Global status. */
export const GSTS_REG = 0x1c;
/** Address of the root table, 64 bits. */
export const RTADDR_REG = 0x20;
/** Context command, 64 bits. */
export const CCMD_REG = 0x28;
/** Fault status. */
export const FSTS_REG = 0x34;
/** Fault event control. */
export const FECTL_REG = 0x38;
/** Offset of the invalidation address from ECAP.IRO. */
export const IVA_OFFSET = 0;
/** Offset of the IOTLB command from ECAP.IRO. */
export const IOTLB_OFFSET = 8;
/** Bytes of one fault recording register; the first is at CAP.FRO. */
export const FRCD_SIZE = 16;
/** Offset of the last word in a fault recording register. */
export const FRCD_LAST_WORD = 12;

/** Global command and status: translation. The status has the bit of a command when the command is done. */
export const TRANSLATION_ENABLE: number = 2 ** 31;
/** Global command and status: use the root table. */
export const SET_ROOT_POINTER: number = 2 ** 30;
/** Global command and status: flush the write buffer. */
export const WRITE_BUFFER_FLUSH: number = 2 ** 27;
/** Global command and status: invalidation through a queue. */
export const QUEUED_INVALIDATION_ENABLE: number = 2 ** 26;
/** The status bits that a command must repeat: all except one-shot commands. */
export const LASTING_STATUS = 0x96ff_ffff;

/** High word of the context command: start an invalidation. */
/** The context entry is invalid. */
export const CONTEXT_INVALIDATE: number = 2 ** 31;
/** Shift of the requested granularity in the context command. */
export const CONTEXT_REQUEST_SHIFT = 29;
/** Shift of the actual granularity in the context command. */
export const CONTEXT_ACTUAL_SHIFT = 27;

/** High word of the IOTLB command: start an invalidation. */
export const IOTLB_INVALIDATE: number = 2 ** 31;
/** Shift of the requested granularity in the IOTLB command. */
export const IOTLB_REQUEST_SHIFT = 28;
/** Shift of the actual granularity in the IOTLB command. */
export const IOTLB_ACTUAL_SHIFT = 25;
/** IOTLB command: complete reads in flight first. */
export const IOTLB_DRAIN_READS: number = 2 ** 17;
/** IOTLB command: complete writes in flight first. */
export const IOTLB_DRAIN_WRITES: number = 2 ** 16;

/** Mask of a granularity. The actual granularity 0 means that nothing was invalidated. */
export const GRANULARITY_MASK = 3;
/** Granularity: everything. */
export const GLOBAL = 1;
/** Granularity: one domain. */
export const DOMAIN_SELECTIVE = 2;
/** Granularity: a range of pages; for the context cache: one device. */
export const PAGE_SELECTIVE = 3;

/** Fault status: a fault was dropped because no record was free. */
export const FAULT_OVERFLOW = 1;
/** Fault status: a fault record is pending. */
export const FAULT_PENDING = 2;
/** Fault status: shift of the index of the first pending record. */
export const FAULT_INDEX_SHIFT = 8;
/** Fault event control: do not interrupt. */
export const FAULT_INTERRUPT_MASK: number = 2 ** 31;

/** Last word of a fault record: the record is valid. */
export const FAULT_RECORDED: number = 2 ** 31;
/** Last word of a fault record: the access was a read. */
export const FAULT_WAS_READ: number = 2 ** 30;

/**
 * Fault reason of legacy mode, like all below (VT-d specification, appendix on fault reason encodings): the root entry
 * is not present.
 */
export const ROOT_NOT_PRESENT = 0x1;
/** The context entry is not present. */
export const CONTEXT_NOT_PRESENT = 0x2;
/** The context entry is invalid. */
export const CONTEXT_INVALID = 0x3;
/** The address is beyond the width of the tables. */
export const BEYOND_WIDTH = 0x4;
/** A write without permission. */
export const WRITE_NOT_PERMITTED = 0x5;
/** A read without permission. */
export const READ_NOT_PERMITTED = 0x6;
/** A page table is outside of memory. */
export const TABLE_UNREADABLE = 0x7;
/** The root table is outside of memory. */
export const ROOT_UNREADABLE = 0x8;
/** The context table is outside of memory. */
export const CONTEXT_UNREADABLE = 0x9;
/** Reserved bits are set in a root entry. */
export const ROOT_RESERVED = 0xa;
/** Reserved bits are set in a context entry. */
export const CONTEXT_RESERVED = 0xb;
/** Reserved bits are set in a page-table entry. */
export const ENTRY_RESERVED = 0xc;
/** The context entry does not allow this kind of request. */
export const REQUEST_BLOCKED = 0xd;

/** Low word of a root or context entry: present. */
export const PRESENT = 1;
/** Low word of a second-level entry: the device may read. */
export const ENTRY_READ = 1;
/** Low word of a second-level entry: the device may write. */
export const ENTRY_WRITE = 2;
/** Low word of a second-level entry: a large page. */
export const ENTRY_LARGE = 0x80;

/** Shift of the translation type in a context entry. */
export const TYPE_SHIFT = 2;
/** Mask of the translation type, after the shift. */
export const TYPE_MASK = 3;
/** Translation type: through second-level tables. */
export const TYPE_TRANSLATED = 0;
/** Translation type: untranslated. */
export const TYPE_PASS_THROUGH = 2;

/** Entries of a second-level table, and the address bits that choose one. */
export const TABLE_ENTRIES = 512;
/** Pages of 4 KiB in a large page of 2 MiB. */
export const LARGE_PAGE: number = TABLE_ENTRIES;
/** log2 of the page size. */
export const PAGE_SHIFT = 12;
/** 32-bit words of a second-level entry. */
export const ENTRY_WORDS = 2;
/** 32-bit words of a root or context entry, which has 16 bytes. */
export const CONTEXT_WORDS = 4;
