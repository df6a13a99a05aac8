import { PAGE_READ, PAGE_WRITE, type EntryFormat } from '@virtio-platform/core/dma';

/** 32-bit words of a stream table entry, and of a context descriptor (Arm IHI 0070, sections 5.2 and 5.4). */
export const STREAM_WORDS = 16;
/** First word of a stream table entry: valid. */
export const STREAM_VALID = 1;
/** Shift of the configuration in the first word. */
export const STREAM_CONFIG_SHIFT = 1;
/** Configuration: addresses are physical ones. */
export const CONFIG_BYPASS = 4;
/** Configuration: stage 1 translates. */
export const CONFIG_STAGE_1 = 5;
/** Third word: the context descriptor is read through caches, and inner shareable. */
export const STREAM_CACHED = 0xd4;
/** Fourth word of a stream table entry: the shareability of an access stays as it is (SHCFG). */
export const STREAM_SHARE_INCOMING = 0x1000;

/** First word of a context descriptor: shift of the granule (TG0). */
export const CD_GRANULE_SHIFT = 6;
/** First word: walks of TTB0 are write-back and inner shareable. */
export const CD_WALKS_CACHED = 0x3500;
/** First word: there is no TTB1. */
export const CD_NO_TTB1: number = 2 ** 30;
/** First word: valid. */
export const CD_VALID: number = 2 ** 31;
/** Second word: tables of AArch64. */
export const CD_AARCH64 = 0x200;
/** Second word: stall faulting accesses. */
export const CD_STALL = 0x1000;
/** Second word: record faults. */
export const CD_RECORD = 0x2000;
/** Second word: a faulting access ends in an abort. */
export const CD_ABORT = 0x4000;
/** Second word: an entry without the access flag is no fault. */
export const CD_IGNORE_ACCESS_FLAG = 0x8;
/** Second word: the ASID is not that of processors. */
export const CD_PRIVATE_ASID = 0x8000;
/** Word of the memory attributes (MAIR). */
export const CD_MAIR_WORD = 6;
/** MAIR: attribute 0 is memory that is write-back. */
export const WRITE_BACK = 0xff;

/** TG0 of each granule. */
export const GRANULE_CODES: ReadonlyMap<number, number> = new Map([
  [4096, 0],
  [65_536, 1],
  [16_384, 2],
]);

/** Low word of a descriptor of a translation table: valid. */
export const ENTRY_VALID = 1;
/** A table, or at the last level a page; without it a block. */
export const ENTRY_TABLE = 2;
/** Accesses that are not privileged are permitted, too (AP[1]). */
export const ENTRY_UNPRIVILEGED = 0x40;
/** Writes are not permitted (AP[2]). */
export const ENTRY_READ_ONLY = 0x80;
/** The access flag: the page has been used, as far as the unit is concerned. */
export const ENTRY_ACCESSED = 0x400;
/** Inner shareable. */
const ENTRY_SHARED = 0x300;
/** The translation is one of the ASID alone. */
const ENTRY_NOT_GLOBAL = 0x800;
/** High word: nothing is executed from the page. */
const ENTRY_NEVER_EXECUTED = 0x60_0000;

const PAGE_FLAGS = ENTRY_VALID | ENTRY_UNPRIVILEGED | ENTRY_SHARED | ENTRY_ACCESSED | ENTRY_NOT_GLOBAL;

/** The flags of an entry by permission. There is no entry for writing alone. */
function flagsOf(type: number): EntryFormat['page'] {
  return [0, PAGE_READ, PAGE_WRITE, PAGE_READ | PAGE_WRITE].map((permission) => ({
    low: PAGE_FLAGS | type | ((permission & PAGE_WRITE) === 0 ? ENTRY_READ_ONLY : 0),
    high: ENTRY_NEVER_EXECUTED,
  }));
}

/** Descriptors of translation tables in the format of AArch64 (Arm ARM, VMSAv8-64). Its levels count from the top. */
export const AARCH64_ENTRIES: EntryFormat = {
  page: flagsOf(ENTRY_TABLE),
  large: flagsOf(0),
  table: () => ({ low: ENTRY_VALID | ENTRY_TABLE, high: 0 }),
  permissionsOf: (low) => {
    if ((low & ENTRY_VALID) === 0) return 0;
    return (low & ENTRY_READ_ONLY) === 0 ? PAGE_READ | PAGE_WRITE : PAGE_READ;
  },
  isLarge: (low) => (low & ENTRY_TABLE) === 0,
  levelName: (level) => String(4 - level),
};
