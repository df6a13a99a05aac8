/**
 * What the driver's end still knows of one buffer, which the device has or had. A buffer is forgotten when its id or
 * one of its descriptors is used again. Positions run free in 32 bits.
 */
export interface BufferLife {
  readonly id: number;
  /** Buffers added before it. */
  readonly addedAt: number;
  /** Its segments, and those that the device reads. */
  readonly segments: number;
  readonly readable: number;
  /** Bytes of all segments. */
  readonly bytes: number;
  /** Of the first segment. */
  readonly deviceAddress: bigint;
  /** Buffers that came back before it; `undefined` while the device has it. */
  readonly returnedAt: number | undefined;
  /** Bytes that the device wrote, once it came back. */
  readonly written: number;
}
