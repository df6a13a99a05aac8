import type { BrokenReason } from '../ring/broken-reason.ts';
import type { ByteOrder, QueueAddresses } from '../ring/ring-format.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import type { DeviceQueueJournal, ResubmittedBuffer } from './device-queue-journal.ts';
import type { DeviceQueueRecorder } from './device-queue-recorder.ts';
import type { DeviceQueueState } from './device-queue-state.ts';

/** The options of a device's end, of either layout. */
export interface DeviceQueueOptions {
  readonly addresses: QueueAddresses;
  /** Whether EVENT_IDX was negotiated. */
  readonly eventIdx: boolean;
  /** Whether INDIRECT_DESC was negotiated. */
  readonly indirect: boolean;
  /**
   * Whether IN_ORDER was negotiated: the device returns buffers in the order in which it popped them. Default: false.
   */
  readonly inOrder?: boolean;
  /** Of a split ring. Default: `little`. */
  readonly byteOrder?: ByteOrder;
  /** Entries of an indirect table that the device takes at least: for a block device its seg_max + 2. Default: 0. */
  readonly tableEntries?: number;
  /** Is told what is in flight. */
  readonly journal?: DeviceQueueJournal | undefined;
  /** Buffers to take first, in this order: each was in flight when another device's end of the ring ended. */
  readonly resubmitted?: readonly ResubmittedBuffer[];
}

/**
 * Entries of an indirect table that every device takes, however short its queue is. A driver may make no chain longer
 * than its queue (specification 1.4 section 2.7.5.3.1), but Linux looks at the limits of the device type only, and QEMU
 * takes as many.
 */
export const LONGEST_TABLE = 1024;

/**
 * The device's end of a virtqueue. A driver that breaks the rules breaks the queue, once, with a typed reason; the
 * device then sets DEVICE_NEEDS_RESET.
 */
export interface DeviceQueue {
  readonly size: number;
  /** Segments of the longest chain that `pop` gives: the queue size, or the entries of the longest table. */
  readonly longestChain: number;
  /** Indirect tables longer than the queue that were taken. */
  readonly longTables: number;
  /** Why the queue is broken, or `undefined` while it works. */
  readonly broken: BrokenReason | undefined;
  /** Buffers popped and not pushed back. At most the queue size, however the driver behaves. */
  readonly inFlight: number;

  /** Buffers popped, those that were in flight when the queue opened included, and pushed, free-running in 32 bits. */
  readonly popped: number;
  readonly pushed: number;

  /** Whether no push since the last {@link flush} left another buffer in flight. */
  readonly servesOneByOne: boolean;

  /** Takes the next available buffer. Returns false when none is available, or the queue is broken. Hot. */
  pop(chain: DescriptorChain): boolean;

  /**
   * Returns a buffer of which `written` bytes were written, counted over its device-writable segments. Throws
   * `RangeError` for a buffer that is not in flight, or with IN_ORDER not the next one. Hot.
   */
  push(head: number, written: number): void;

  /**
   * Shows everything pushed since the last call to the driver. Returns whether the driver wants a notification. Hot.
   */
  flush(): boolean;

  /**
   * Asks the driver for a notification with the next available buffer. Returns false if some buffers already arrived.
   */
  enableNotifications(): boolean;
  disableNotifications(): void;

  /**
   * Whether the driver has to notify: it made a buffer available since {@link enableNotifications} asked for that
   * (specification 1.4 sections 2.7.10 and 2.8.10). Such a driver may be about to. For those who count notifications.
   */
  awaitsNotification(): boolean;
  /** Whether no buffer that the driver made available since {@link disableNotifications} asks for a notification. */
  suppressesNotifications(): boolean;

  /** Tells `recorder` of everything from now on, in the place of the one before. */
  record(recorder: DeviceQueueRecorder): void;

  /**
   * The queue as plain data, for `restoreDeviceQueue`. Throws `TypeError` while it is broken or a buffer was pushed and
   * not flushed.
   */
  save(): DeviceQueueState;
}
