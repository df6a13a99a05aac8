import type { DmaStatistics } from '../../dma/dma-mapping.ts';
import type { BrokenReason } from '../ring/broken-reason.ts';
import type { ByteOrder, QueueAddresses } from '../ring/ring-format.ts';
import type { BufferLife } from './buffer-life.ts';
import type { BufferInspection, RingInspection } from './ring-inspection.ts';
import type { RingMemory } from './ring-memory.ts';
import type { ScatterList } from './scatter-list.ts';
import type { VirtqueueRecorder } from './virtqueue-recorder.ts';
import type { VirtqueueState } from './virtqueue-state.ts';

/**
 * `add` found too few free descriptors; retry after the next completion. Below the reasons of `DmaMapping.map`, which
 * `add` also returns.
 */
export const QUEUE_FULL = -16;
/** The queue is broken; see {@link Virtqueue.broken}. */
export const QUEUE_BROKEN = -17;

/**
 * The treatment of a used length that exceeds the buffer's writable part: break the queue (`strict`), cut the length to
 * the writable part (`clamp`), or count every buffer as completely written (`ignore`). Legacy devices give wrong
 * lengths (specification 1.4 section 2.7.8.1), so their queues have `ignore`.
 */
export type UsedLengthPolicy = 'strict' | 'clamp' | 'ignore';

/** How often a driver's end showed new buffers to the device. */
export interface PublicationCounts {
  /** Publications of which the device wanted an available buffer notification. */
  wanted: number;
  /** Publications of which the device suppressed it (specification 1.4 sections 2.7.10 and 2.8.10). */
  suppressed: number;
}

/** The options of a driver's end, of either layout. */
export interface VirtqueueOptions {
  readonly index: number;
  /** Entries: 1 to 32768, of a split ring a power of two. */
  readonly size: number;
  /** Whether EVENT_IDX was negotiated. */
  readonly eventIdx: boolean;
  /**
   * Whether IN_ORDER was negotiated: buffers come back in the order in which they were added, and one used entry may
   * return several. Default: false.
   */
  readonly inOrder?: boolean;
  /** Entries of each indirect table, or 0 when INDIRECT_DESC was not negotiated. */
  readonly indirect: number;
  /** Of a split ring: the contiguous layout of the legacy interface, used ring aligned to 4096. Default: false. */
  readonly legacyLayout?: boolean;
  /** Of a split ring. Default: `little`. */
  readonly byteOrder?: ByteOrder;
  readonly usedLength: UsedLengthPolicy;
  /**
   * Of a packed ring: whether the length of a used descriptor counts without WRITE, against specification 1.4 section
   * 2.8.3. QEMU sets WRITE in no used descriptor, and Linux ignores it there. A split ring has no such mark. Default:
   * false.
   */
  readonly unmarkedLengths?: boolean | undefined;
  /**
   * Of a split ring without `legacyLayout`: whether no used element may cross a page, because the device continues one
   * that does at a wrong address. Default: false.
   */
  readonly wholeUsedElements?: boolean | undefined;
}

/**
 * Buffers that came back, filled by `Virtqueue.takeUsed` and reused by its caller. Hot: no allocation after
 * construction.
 */
export class UsedBatch {
  readonly capacity: number;
  /** The id of each buffer, which `add` returned. */
  readonly ids: Uint16Array;
  /** Bytes the device wrote, counted over the device-writable segments in order. */
  readonly written: Uint32Array;
  /** Buffers in the batch. */
  count = 0;

  /** A batch for at most `capacity` buffers. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.ids = new Uint16Array(capacity);
    this.written = new Uint32Array(capacity);
  }
}

/**
 * The driver's end of a virtqueue. The classes for split and packed rings both implement this interface, and the code
 * above uses nothing else.
 *
 * The life of a buffer: `add` maps and describes it, `publish` shows it to the device, `takeUsed` brings it back
 * unmapped. A full queue and a failed mapping are return values and leave the ring exactly as it was. A device that
 * breaks the rules breaks the queue.
 */
export interface Virtqueue {
  readonly index: number;
  readonly size: number;
  readonly addresses: QueueAddresses;
  /** Buffers added and not taken back. */
  readonly outstanding: number;
  /** Buffers added, and buffers taken back, since the last reset, free-running in 32 bits. */
  readonly added: number;
  readonly returned: number;
  /** Why the queue is broken, or `undefined` while it works. */
  readonly broken: BrokenReason | undefined;
  readonly dma: DmaStatistics;
  /** Since construction. */
  readonly publications: Readonly<PublicationCounts>;
  /**
   * The position of the next buffer to be made available, in 16 bits: the available index of a split ring, the slot of
   * a packed ring with its wrap counter in bit 15. With NOTIFICATION_DATA a notification carries it (section 2.9).
   */
  readonly nextAvailable: number;
  /**
   * The position of the next used buffer to be taken back, in 16 bits as {@link nextAvailable}: it differs from an
   * earlier one where `takeUsed` took buffers in between, fewer than a ring has. Hot.
   */
  readonly nextUsed: number;

  /**
   * Adds one request. Returns its id (0 to size - 1, reused after `takeUsed` returned it), or a negative reason. Hot.
   */
  add(list: ScatterList): number;

  /** Shows everything added since the last call to the device. Returns whether the device wants a notification. Hot. */
  publish(): boolean;

  /**
   * Takes back up to `batch.capacity` used buffers, unmapped, and returns how many. Bounded by the batch even if the
   * device keeps moving its index. On a broken queue it returns 0. Hot.
   */
  takeUsed(batch: UsedBatch): number;

  /**
   * Asks for a notification with the next used buffer. Returns false if some buffers already arrived: take them first,
   * or the notification may never come (section 2.7.14).
   */
  enableNotifications(): boolean;

  /**
   * Asks for a notification after most of the outstanding buffers came back: with EVENT_IDX after three quarters of
   * them. Returns false if that many already arrived (in a packed ring, if any did).
   */
  enableNotificationsDelayed(): boolean;
  disableNotifications(): void;

  /**
   * Unmaps everything still outstanding and returns its ids. Only after the device confirmed a reset: until then the
   * memory belongs to the device. The queue is then as after construction.
   */
  reset(): number[];

  /**
   * Changes the number of entries, and with it {@link size} and {@link addresses}: after `reset`, before the queue is
   * enabled again (RING_RESET, section 2.6.1.2). Throws `TypeError` while a buffer is outstanding, `RangeError` for a
   * size the layout forbids, and {@link DmaError} when the memory is exhausted; then the queue keeps the size it had.
   */
  resize(size: number): void;

  /** Latches the queue broken for a reason that its owner found, such as a device that does not answer. */
  markBroken(reason: BrokenReason): void;

  /** What the driver's end still knows of the buffers that it added last. Cold. */
  lives(): readonly BufferLife[];

  /** Tells `recorder` of everything from now on, in the place of the one before. */
  record(recorder: VirtqueueRecorder): void;

  /** Reads the ring as both ends left it, to explain a failure. Cold. */
  inspect(): RingInspection;

  /**
   * The descriptors of each buffer that the device has, and of each that came back and whose descriptors are not in use
   * again, the newest first: as the driver wrote them and as they are in memory. Cold.
   */
  inspectBuffers(): readonly BufferInspection[];

  /** The ring's memory, which `restoreVirtqueue` takes over and `dispose` gives back. */
  readonly memory: RingMemory;

  /**
   * The queue as plain data, for `restoreVirtqueue`: while the device is suspended, or before another program takes the
   * driver over. Throws `TypeError` while the queue is broken or a buffer was added and not published.
   */
  save(): VirtqueueState;

  /** Gives back the ring's memory. Only after the device confirmed a reset. */
  dispose(): void;
}
