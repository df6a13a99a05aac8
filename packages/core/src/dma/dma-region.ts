/**
 * Memory that is mapped for many requests, contiguous for the device. Its owner releases it once, after the device
 * stopped using it.
 */
export interface DmaRegion {
  /** Guest-physical address. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  readonly direction: DmaDirection;
  /**
   * Writes the device address of the byte at `offset` to `words[at]` (low) and `words[at + 1]` (high). Hot: no
   * allocation.
   */
  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void;
  /**
   * Makes the driver's bytes visible to the device; copies nothing where both sides see the same memory. Throws
   * `RangeError` for bytes outside of the region. Hot: no allocation.
   */
  syncForDevice(offset: number, length: number): void;
  /**
   * Makes the device's bytes visible to the driver; copies nothing where both sides see the same memory. Throws
   * `RangeError` for bytes outside of the region. Hot: no allocation.
   */
  syncForCpu(offset: number, length: number): void;
  /**
   * Unmaps the region. Throws `RangeError` when it was already released ({@link regionReleasedError}). Pages that the
   * platform cannot take back are treated as `DmaMapping.unmap` says, and coherent memory stays allocated.
   */
  release(): void;
}

/**
 * Which side writes a mapped buffer. Names and ownership rules are those of the Linux DMA API (core-api/dma-api.rst).
 */
export const DmaDirection = {
  Bidirectional: 0,
  /** The device only reads. */
  ToDevice: 1,
  /** The device only writes. A platform with `PlatformTraits.writableIsReadable` lets it read, too. */
  FromDevice: 2,
} as const;
/** One of the values of {@link DmaDirection}. */
export type DmaDirection = (typeof DmaDirection)[keyof typeof DmaDirection];

/**
 * Bytes of a cache line, the largest common size. Memory that a device writes shares no cache line with other data: a
 * processor that is not coherent with the device could write back an old line and lose the data of one of the two
 * (Linux core-api/dma-api.rst).
 */
export const CACHE_LINE_SIZE = 64;

/**
 * Checks the part of a mapping or region of `size` bytes that a sync names. Throws `RangeError` for a negative or
 * fractional offset or length, and for bytes behind the end. Hot: no allocation.
 */
export function checkSyncRange(offset: number, length: number, size: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= size && offset % 1 === 0 && length % 1 === 0) return;
  throw new RangeError(`bytes ${offset}..${offset + length} are outside a mapping of ${size} bytes`);
}

/** The error of a second {@link DmaRegion.release}. */
export function regionReleasedError(): RangeError {
  return new RangeError('this DMA region was already released');
}
