import type { DeviceQueueJournal, ResubmittedBuffer } from '@virtio-platform/core/queue';

/** What a ring says of its own, for a record that is compared with it. */
export interface RecordedRing {
  /** Entries. */
  readonly size: number;
  /** Where the device begins, as the front-end says; only a record that is new believes it. */
  readonly position: number;
  /** Of a split ring: the available and the used index. */
  readonly indices: { readonly available: number; readonly used: number };
  /** Of a packed ring: the flags of a slot. */
  readonly flagsAt: (slot: number) => number;
}

/** Where a queue goes on, as its record has it. */
export interface RecoveredQueue {
  /** Whether no device kept the record before. */
  readonly isNew: boolean;
  /** The next used entry. */
  readonly position: number;
  /** Buffers that a device took and did not return, in the order in which it took them. */
  readonly resubmitted: readonly ResubmittedBuffer[];
}

/**
 * The record of what is in flight in one queue, in memory that the front-end keeps (vhost-user, "Inflight I/O
 * tracking"). It is true at every instant: the process may be gone at the next.
 */
export interface InFlightRecord extends DeviceQueueJournal {
  /**
   * Compares the record with the ring, and makes it one of this device. Called before everything else. Throws
   * {@link FrontEndViolation} for a record that no device wrote.
   */
  recover(ring: RecordedRing): RecoveredQueue;
}
