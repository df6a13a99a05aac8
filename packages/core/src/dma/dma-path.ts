/**
 * How a buffer's address reaches the device, chosen once by negotiation and fixed until reset:
 * - `physical`: the guest-physical address; the platform is not consulted.
 * - `identity`: the platform maps, and every device address was verified to equal the physical one.
 * - `linear`: physical plus a constant.
 * - `translated`: each mapping gets an address of its own.
 * - `granted`: the number of a grant, by which the other side may use one page; no platform of this repository has it.
 * - `bounced`: the address of a shared slot that the buffer is copied through, as is, or composed with one of the above.
 */
export const DMA_PATHS = [
  'physical',
  'identity',
  'linear',
  'translated',
  'granted',
  'bounced',
  'bounced+linear',
  'bounced+translated',
] as const;
export type DmaPath = (typeof DMA_PATHS)[number];
