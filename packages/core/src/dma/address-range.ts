/** A range of addresses that a platform lays out for its device, for people to look at. */
export interface AddressRange {
  /** What it is, in a few words: `64-bit DMA window`, `bounce pool`. */
  readonly what: string;
  /** `window`: device addresses in which mappings are made; `pool`: memory that buffers are copied through. */
  readonly kind: 'window' | 'pool';
  /** Device address of its first byte. */
  readonly deviceAddress: bigint;
  /** Guest-physical address of its first byte; absent where each page leads elsewhere. */
  readonly address?: number | undefined;
  /** Bytes. */
  readonly length: number;
}
