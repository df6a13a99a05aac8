/** Who writes a mapped buffer. The names and the ownership rules are those of the Linux DMA API (core-api/dma-api.rst). */
export const DmaDirection = {
  Bidirectional: 0,
  /** The device only reads. */
  ToDevice: 1,
  /** The device only writes. */
  FromDevice: 2,
} as const;
export type DmaDirection = (typeof DmaDirection)[keyof typeof DmaDirection];
