/** Bytes of an entry of a table of TCEs. */
const TCE_BYTES = 8;
/** Bytes of a page of a kernel on POWER: no level of a table is smaller. */
const KERNEL_PAGE = 2 ** 16;
/**
 * The largest level that such a kernel has memory for: a level is one piece of memory, of at most 2^8 pages (the
 * kernel's MAX_ORDER).
 */
export const LARGEST_LEVEL: number = 2 ** 24;

/** A window of bus addresses: bytes that one TCE translates, and bytes of the whole window. Both are powers of two. */
export interface WindowSize {
  readonly pageSize: number;
  readonly size: number;
}

/** Bytes of one level of a table with so many levels: the entries of a window are spread over them evenly. */
export function tceLevelBytes({ size, pageSize }: WindowSize, levels: number): number {
  return Math.max(2 ** Math.ceil(Math.log2(size / pageSize) / levels) * TCE_BYTES, KERNEL_PAGE);
}

/**
 * Bytes that the table of a window counts against the memory-lock limit (`pnv_pci_ioda2_get_table_size`): every level
 * in full, although all but the first are allocated when they are used, and all of it twice, because the kernel keeps
 * the addresses that the process gave beside those of the hardware.
 */
export function tceTableBytes(window: WindowSize, levels: number): number {
  const level = tceLevelBytes(window, levels);
  let entries = (window.size / window.pageSize) * TCE_BYTES;
  let bytes = 0;
  for (let left = levels; left > 0; left--) {
    bytes += Math.ceil(entries / level) * level;
    entries = Math.max(Math.floor(entries / level) * TCE_BYTES, level);
  }
  return 2 * bytes;
}

/** How many levels a table needs for each to be no larger than {@link LARGEST_LEVEL}; at most `most`. */
export function fewestLevels(window: WindowSize, most: number): number {
  let levels = 1;
  while (levels < most && tceLevelBytes(window, levels) > LARGEST_LEVEL) levels++;
  return levels;
}
