/** Writes an I/O virtual address as low and high word. Typed arrays keep the low 32 bits and drop the fraction. Hot. */
export function writeIova(iova: number, words: Uint32Array, at: number): void {
  words[at] = iova;
  words[at + 1] = iova / 0x1_0000_0000;
}
