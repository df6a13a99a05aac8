/**
 * Writes the address `offset` bytes into the page at `iova` as low and high word. Kept apart until here, because a bus address
 * can be above 2^53, where a number holds only pages. Typed arrays keep the low 32 bits and drop the fraction. Hot.
 */
export function writeIova(iova: number, offset: number, words: Uint32Array, at: number): void {
  const low = (iova % 0x1_0000_0000) + offset;
  words[at] = low;
  words[at + 1] = iova / 0x1_0000_0000 + (low >= 0x1_0000_0000 ? 1 : 0);
}
