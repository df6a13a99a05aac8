import { PAGE_SHIFT } from './vtd-registers.ts';

/** Writes the address `offset` bytes behind the start of an I/O virtual page as low and high word. Hot: no allocation. */
export function writeIova(page: number, offset: number, words: Uint32Array, at: number): void {
  const behind = page + Math.floor(offset / 2 ** PAGE_SHIFT);
  words[at] = (behind << PAGE_SHIFT) | (offset & (2 ** PAGE_SHIFT - 1));
  words[at + 1] = behind >>> (32 - PAGE_SHIFT);
}
