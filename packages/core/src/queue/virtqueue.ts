import type { DmaStatistics } from '../dma/dma-mapping.ts';
import type { BrokenReason } from './broken-reason.ts';
import type { ScatterList } from './scatter-list.ts';
import type { RingMemory } from './ring-memory.ts';
import type { UsedBatch } from './used-batch.ts';
import type { VirtqueueState } from './virtqueue-state.ts';

/** `add` found no free descriptors; retry after the next completion. Below the reasons of `DmaMapping.map`, which `add` also returns. */
export const QUEUE_FULL = -16;
/** The queue is broken; see {@link Virtqueue.broken}. */
export const QUEUE_BROKEN = -17;

/**
 * What to do with a used length that exceeds the buffer's writable part: break the queue, cut it to what is possible, or take
 * every buffer as completely written. Legacy devices lie about it (specification 1.4 section 2.7.8.1), so they get `ignore`.
 */
export type UsedLengthPolicy = 'strict' | 'clamp' | 'ignore';

/** How many of `length` bytes count for a buffer with room for `writable`, or -1 where the claim breaks the queue. Hot. */
export function acceptedLength(policy: UsedLengthPolicy, length: number, writable: number): number {
  if (policy === 'ignore') return writable;
  if (length <= writable) return length;
  return policy === 'strict' ? -1 : writable;
}

/** Where the parts of a queue are, as device addresses in two words each; what a transport tells the device. */
export interface QueueAddresses {
  readonly size: number;
  /** Low and high word of the descriptor, driver and device area, in this order. */
  readonly words: Uint32Array;
}

/**
 * The driver's end of a virtqueue. Split and packed are two classes behind this; nothing above knows which.
 *
 * The life of a buffer: `add` maps and describes it, `publish` shows it to the device, `takeUsed` brings it back unmapped.
 * A full queue and a failed mapping are return values and leave the ring exactly as it was. A lying device breaks the queue.
 */
export interface Virtqueue {
  readonly index: number;
  readonly size: number;
  readonly addresses: QueueAddresses;
  /** The ring's memory, which `dispose` gives back. */
  readonly memory: RingMemory;
  /** Buffers added and not taken back. */
  readonly outstanding: number;
  /** Why the queue is broken, or `undefined` while it works. */
  readonly broken: BrokenReason | undefined;
  readonly dma: DmaStatistics;
  /**
   * Where the next buffer will be made available, in 16 bits: the available index of a split ring, the slot of a packed one with
   * its wrap counter in bit 15. What a notification carries with NOTIFICATION_DATA (section 2.9).
   */
  readonly nextAvailable: number;

  /** Adds one request. Returns its id (0 to size - 1, reused after `takeUsed` returned it), or a negative reason. Hot. */
  add(list: ScatterList): number;

  /** Shows everything added since to the device. Returns whether the device wants to be notified. Hot. */
  publish(): boolean;

  /**
   * Takes back up to `batch.capacity` used buffers, unmapped, and returns how many. Bounded by the batch even if the device
   * keeps moving its index. On a broken queue it returns 0. Hot.
   */
  takeUsed(batch: UsedBatch): number;

  /**
   * Asks for a notification with the next used buffer. Returns false if some already arrived: take them first, or the
   * notification may never come (section 2.7.14).
   */
  enableNotifications(): boolean;

  /**
   * The same, but lets most of what is outstanding come back first: with EVENT_IDX a notification comes once three quarters of
   * it did. Returns false if that many already arrived (in a packed ring, if any did).
   */
  enableNotificationsDelayed(): boolean;
  disableNotifications(): void;

  /** Latches the queue broken for a reason that its owner saw. */
  markBroken(reason: BrokenReason): void;

  /**
   * Unmaps everything still outstanding and returns its ids. Only after the device confirmed a reset: until then the memory
   * is the device's. The queue starts anew, as after construction.
   */
  reset(): number[];

  /**
   * Changes the number of entries, and with it {@link size} and {@link addresses}: after `reset`, before the queue is enabled again
   * (RING_RESET, section 2.6.1.2). Throws `TypeError` while a buffer is outstanding, `RangeError` for a size the layout forbids,
   * and {@link DmaError} when there is no memory; then the queue keeps the size it had.
   */
  resize(size: number): void;

  /**
   * The queue as plain data, for `restoreVirtqueue`: while the device is suspended, or before another program takes the driver
   * over. Throws `TypeError` while the queue is broken or a buffer was added and not published.
   */
  save(): VirtqueueState;

  /** Gives back the ring's memory. Only after the device confirmed a reset. */
  dispose(): void;
}
