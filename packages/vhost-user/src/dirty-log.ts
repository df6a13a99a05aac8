/** Bytes of guest memory that one bit of a log stands for (VHOST_LOG_PAGE). */
export const LOG_PAGE_BYTES = 4096;
/** Pages that one byte of a log stands for. */
const PAGES_A_BYTE = 8;

/** Bytes of a log of all guest addresses below `end`. */
export function logBytes(end: number): number {
  return Math.ceil(end / LOG_PAGE_BYTES / PAGES_A_BYTE);
}

/** The first guest address that a log of so many bytes has no bit for. */
export function logEnd(bytes: number): number {
  return bytes * PAGES_A_BYTE * LOG_PAGE_BYTES;
}

/**
 * Marks the pages of `length` bytes from a guest address on as written to, atomically: the front-end takes marks away
 * meanwhile. Returns false where a page is outside of the log; those inside are marked. Hot: no allocation.
 */
export function markPages(log: Uint8Array, address: number, length: number): boolean {
  if (length <= 0) return true;
  const last = Math.floor((address + length - 1) / LOG_PAGE_BYTES);
  for (let page = Math.floor(address / LOG_PAGE_BYTES); page <= last; page++) {
    const at = Math.floor(page / PAGES_A_BYTE);
    if (at >= log.length) return false;
    const bit = 1 << (page % PAGES_A_BYTE);
    if ((Atomics.load(log, at) & bit) === 0) Atomics.or(log, at, bit);
  }
  return true;
}

/** Takes all marks away. Returns the guest addresses of the pages that had one, ascending. */
export function takeMarkedPages(log: Uint8Array): number[] {
  const pages: number[] = [];
  for (let at = 0; at < log.length; at++) {
    if (log[at] === 0) continue;
    const bits = Atomics.exchange(log, at, 0);
    for (let i = 0; i < PAGES_A_BYTE; i++)
      if ((bits & (1 << i)) !== 0) pages.push((PAGES_A_BYTE * at + i) * LOG_PAGE_BYTES);
  }
  return pages;
}
