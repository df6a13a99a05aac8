/** 32-bit words of an entry of the device table (specification 48882, section 2.2.2.1). */
export const DEVICE_ENTRY_WORDS = 8;
/** Bytes of one. */
export const DEVICE_ENTRY_BYTES: number = DEVICE_ENTRY_WORDS * 4;
/** Its first word: the entry says something (V). Without it, the unit lets the device through. */
export const ENTRY_VALID = 1;
/** First word: what is said of translation is valid (TV). */
export const TRANSLATION_VALID = 2;
/** First word: levels of page tables (Mode). */
export const MODE_SHIFT = 9;
/** Mask of the mode, after the shift. 0 lets addresses through; 7 is reserved. */
export const MODE_MASK = 7;
/** Third word: the domain. */
export const DOMAIN_MASK = 0xffff;

/** Second word of an entry of the device table, and of a page table: the device may read (IR). */
export const MAY_READ = 0x2000_0000;
/** The device may write (IW). */
export const MAY_WRITE = 0x4000_0000;

/** First word of an entry of a page table: present (PR). Without it, the unit ignores all other bits. */
export const PRESENT = 1;
/** First word: the level of the table that it points at (Next Level). 0 is a page, 7 one of another size. */
export const NEXT_LEVEL_SHIFT = 9;
/** Mask of the next level, after the shift. */
export const NEXT_LEVEL_MASK = 7;
/** The next level of a page whose address says its size. */
export const SIZED_PAGE = 7;
/** Address bits of the second word: 51 to 32. */
export const ADDRESS_HIGH = 0x000f_ffff;
/** Reserved bits of the second word: 58 to 52. */
export const RESERVED_HIGH = 0x07f0_0000;

/** Levels of page tables that the specification knows. */
export const MOST_LEVELS = 6;
/** Bits of an address that the tables of so many levels translate. */
export function addressBits(levels: number): number {
  return Math.min(64, 12 + 9 * levels);
}
