/**
 * The Toeplitz hash of `length` bytes (Microsoft, "RSS Hashing Functions"; specification 1.4 section 5.1.6.4.3.4): for
 * each bit that is set, from the highest of the first byte on, the 32 bits of the key that begin there. A key that is
 * too short goes on with zeros. Hot: no allocation.
 */
export function toeplitz(key: Uint8Array, input: Uint8Array, length: number): number {
  let hash = 0;
  // The 32 bits of the key at the bit that is looked at.
  let window = ((key[0] ?? 0) << 24) | ((key[1] ?? 0) << 16) | ((key[2] ?? 0) << 8) | (key[3] ?? 0);
  for (let i = 0; i < length; i++) {
    const byte = input[i]!;
    const next = key[i + 4] ?? 0;
    for (let bit = 7; bit >= 0; bit--) {
      if ((byte & (1 << bit)) !== 0) hash ^= window;
      window = (window << 1) | ((next >>> bit) & 1);
    }
  }
  return hash >>> 0;
}
