/** Why a queue is broken. Latched: nothing the other side says is believed any more until the device was reset. */
export interface BrokenReason {
  readonly code: BrokenCode;
  /** What was seen, with the numbers. */
  readonly detail: string;
}

export type BrokenCode =
  /** used.idx moved further than buffers are outstanding (or backwards, which is the same). */
  | 'used-index-out-of-range'
  /** A used element names a descriptor beyond the queue. */
  | 'used-id-out-of-range'
  /** A used element names a descriptor that is not the head of an outstanding buffer. */
  | 'used-id-not-outstanding'
  /** The device claims to have written more than the buffer's writable part. */
  | 'used-length-too-large'
  /** avail.idx moved further than the queue is long. */
  | 'available-index-out-of-range'
  /** An available entry or a `next` field names a descriptor beyond the queue or the table. */
  | 'descriptor-index-out-of-range'
  /** A descriptor inside a list of a packed ring is not available, though the first one is. */
  | 'descriptor-not-available'
  /** A chain is longer than the queue, so it loops. */
  | 'descriptor-chain-too-long'
  /** A chain describes more than 2^32 bytes, or a range that wraps. */
  | 'descriptor-length-invalid'
  /** A device-readable descriptor follows a device-writable one. */
  | 'descriptor-order-invalid'
  /** An indirect descriptor where none may be, or a table of impossible length. */
  | 'indirect-table-invalid'
  /** The device could not reach the ring or an indirect table: the platform's address space refused it. */
  | 'ring-unreachable'
  /** The same head was made available again before it was used. */
  | 'descriptor-already-in-flight'
  /** The driver or device was told to stop believing in the queue. */
  | 'marked-by-owner';
