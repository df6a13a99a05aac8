/** What the tables say of the device: the translation type, and for a translated domain its page tables. */
export interface RequesterEntry {
  readonly isPassThrough: boolean;
  /** Physical address of the page table of the highest level; 0 for pass-through. */
  readonly table: number;
  /** Code of the address width (AW). */
  readonly width: number;
  readonly domain: number;
}

/** Where an entry leads, in words. */
export function entryLeadsTo({ isPassThrough, domain, table }: RequesterEntry): string {
  return isPassThrough ? 'pass-through: nothing translates' : `domain ${domain}, tables at 0x${table.toString(16)}`;
}
