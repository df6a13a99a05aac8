/**
 * The reason why a queue is broken. It is latched: the queue ignores the other end from then on, until the device is
 * reset.
 */
export interface BrokenReason {
  /** The rule that the other end broke. */
  readonly code: BrokenCode;
  /** The values that broke it. */
  readonly detail: string;
}

/** The rules of a ring that the other end can break. */
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
  /** An indirect descriptor where the rules forbid one, or a table of impossible length. */
  | 'indirect-table-invalid'
  /** The device could not reach the ring or an indirect table: the platform's address space refused the access. */
  | 'ring-unreachable'
  /** The driver made a head available again before the device used it. */
  | 'descriptor-already-in-flight'
  /** The owner of this end gave the queue up with `markBroken`. */
  | 'marked-by-owner';
