/** Below this many bytes a loop is faster than making a view, and allocates nothing. */
const SMALL = 128;

/** Copies between two byte arrays. Hot: small copies do not allocate. */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array, from: number, length: number): void {
  if (length <= SMALL) {
    for (let i = 0; i < length; i++) target[at + i] = source[from + i]!;
    return;
  }
  target.set(source.subarray(from, from + length), at);
}
