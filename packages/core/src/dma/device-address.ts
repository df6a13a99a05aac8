const WORD = 0x1_0000_0000;

/**
 * Writes the device address `base + offset` to `words[at]` (low) and `words[at + 1]` (high), carrying from the low word
 * into the high one. The base is two words because the sum can lie above 2^53, where a number is inexact: a POWER
 * window begins at 2^59. `offset` is a non-negative safe integer. Hot: no allocation.
 */
export function writeDeviceAddress(
  offset: number,
  baseLow: number,
  baseHigh: number,
  words: Uint32Array,
  at: number,
): void {
  const low = (offset >>> 0) + baseLow;
  words[at] = low;
  words[at + 1] = Math.floor(offset / WORD) + baseHigh + (low >= WORD ? 1 : 0);
}

/**
 * Bytes from a base to a device address, both as low and high word; negative in front of the base. Exact wherever the
 * distance is below 2^53; a distance that a number rounds lies outside of every window and region. Hot: no allocation.
 */
export function deviceAddressOffset(low: number, high: number, baseLow: number, baseHigh: number): number {
  return (high - baseHigh) * WORD + (low - baseLow);
}
