const WORD = 0x1_0000_0000;

/** How many bytes a device address is behind the page at `iova`; negative before it. Exact wherever it is near, also above 2^53. */
export function iovaOffset(iova: number, low: number, high: number): number {
  return (high - Math.floor(iova / WORD)) * WORD + (low - (iova % WORD));
}
