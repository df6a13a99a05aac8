/** The device may read a page. */
export const PAGE_READ = 1;
/** The device may write a page. */
export const PAGE_WRITE = 2;

/** What an entry of a page table has beside the address: the low and the high word of 64 bits. */
export interface EntryFlags {
  readonly low: number;
  readonly high: number;
}

/**
 * How a kind of unit has the entries of its page tables: 64 bits, with the physical address in bits 51 to 12. Levels
 * count from 1, the lowest.
 */
export interface EntryFormat {
  /** The low word of an entry that maps nothing: 0 unless given. The high word counts for nothing then. */
  readonly absent?: number;
  /** Of an entry that maps a page, by permission: {@link PAGE_READ} and {@link PAGE_WRITE}, added up. */
  readonly page: readonly EntryFlags[];
  /** Of an entry of level 2 that maps as much as a table, by permission. */
  readonly large: readonly EntryFlags[];
  /** Of an entry that points at a table of `level`. It takes no permission away: the entries of pages decide. */
  table(level: number): EntryFlags;
  /** The permissions that an entry gives, also that of a table; 0 where it is not valid. */
  permissionsOf(low: number, high: number): number;
  /** Whether a valid entry of level 2 maps memory, and is not that of a table. */
  isLarge(low: number, high: number): boolean;
  /** How the specification of the unit calls a level. */
  levelName(level: number): string;
}
