/** Low word of a command, like all below: its opcode (Arm IHI 0070, section 4.1). */
export const OPCODE_MASK = 0xff;
/** Drop the cached stream table entry of a StreamID, which is the second word. */
export const CFGI_STE = 0x03;
/** Drop all cached configuration; the third word has {@link CFGI_ALL_RANGE}. */
export const CFGI_ALL = 0x04;
/** The range that makes {@link CFGI_ALL} of the command for a range of StreamIDs. */
export const CFGI_ALL_RANGE = 31;
/** Drop the cached context descriptor of a StreamID, which is the second word. */
export const CFGI_CD = 0x05;
/** Drop all cached context descriptors of a StreamID. */
export const CFGI_CD_ALL = 0x06;
/** Drop all translations of stage 1. */
export const TLBI_NH_ALL = 0x10;
/** Drop the translations of an ASID, which is the upper half of the second word. */
export const TLBI_NH_ASID = 0x11;
/** Drop the translations of an address, which is the third and fourth word, and of an ASID. */
export const TLBI_NH_VA = 0x12;
/** Drop the translations of an address for every ASID. */
export const TLBI_NH_VAA = 0x13;
/** Drop all translations that are not those of a hypervisor. */
export const TLBI_NSNH_ALL = 0x30;
/** Is consumed once all commands before it are done. */
export const CMD_SYNC = 0x46;

/** Shift of the ASID in the second word of a TLBI command. */
export const ASID_SHIFT = 16;
/** Third word: only entries of the last level changed. */
export const LEAF = 1;
/** 32-bit words of a command. */
export const COMMAND_WORDS = 4;
/** 32-bit words of an event. */
export const EVENT_WORDS = 8;
