/** A range of device addresses that a platform lays out, or that has a meaning of its own there. */
export interface AddressRange {
  /** What it is, in a few words: `64-bit DMA window`, `bounce pool`, `interrupt range of a PC`. */
  readonly what: string;
  /**
   * `window`: device addresses in which mappings are made; `pool`: memory that buffers are copied through;
   * `interrupts`: addresses that are no memory, where the write of one word is an interrupt of the device.
   */
  readonly kind: 'window' | 'pool' | 'interrupts';
  /** Device address of its first byte. */
  readonly deviceAddress: bigint;
  /** Guest-physical address of its first byte; absent where each page leads elsewhere. */
  readonly address?: number | undefined;
  /** Bytes. */
  readonly length: number;
  /**
   * Of interrupts: whether they are so for a device that does not offer ACCESS_PLATFORM too. Left out, such a device
   * bypasses the unit that takes them out of its accesses.
   */
  readonly ofEveryDevice?: boolean | undefined;
}

/** The first of these ranges that has a device address. */
export function rangeAt(ranges: readonly AddressRange[], address: bigint): AddressRange | undefined {
  return ranges.find(
    ({ deviceAddress, length }) => address >= deviceAddress && address < deviceAddress + BigInt(length),
  );
}
