/** Bytes of a command and of an event. */
export const ENTRY_BYTES = 16;
/** 32-bit words of one. */
export const ENTRY_WORDS = 4;
/** Second word of a command: its operation (specification 48882, section 2.4). */
export const OPERATION_SHIFT = 28;
/** Waits until all before it is done, and stores a number or interrupts. */
export const COMPLETION_WAIT = 1;
/** Drops what is cached of an entry of the device table. */
export const INVALIDATE_DEVICE_ENTRY = 2;
/** Drops translations of a domain. */
export const INVALIDATE_PAGES = 3;
/** Drops what is cached of a table of interrupts. */
export const INVALIDATE_INTERRUPTS = 5;
/** Drops everything. */
export const INVALIDATE_ALL = 8;

/** First word of COMPLETION_WAIT: store 64 bits at the address in this and the next word. */
export const WAIT_STORES = 1;
/** First word of COMPLETION_WAIT: interrupt. */
export const WAIT_INTERRUPTS = 2;

/** Third word of INVALIDATE_PAGES: the address says how many pages. */
export const PAGES_SIZED = 1;
/** Third word of INVALIDATE_PAGES: also what is cached of directories. */
export const PAGES_DIRECTORIES = 2;
/** Third word of INVALIDATE_PAGES: pages of nested translation. */
export const PAGES_NESTED = 4;
/** Third and fourth word that name every page. */
export const EVERY_PAGE_LOW = 0xffff_f000;
/** See {@link EVERY_PAGE_LOW}. */
export const EVERY_PAGE_HIGH = 0x7fff_ffff;
