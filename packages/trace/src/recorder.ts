import type { BufferLife } from '@virtio-platform/core/queue';

/**
 * How much a recorder takes. `flight`: what explains a failure, so cheaply that each run has it. `full`: each access of
 * the device, each sync and release of a region too, and the time of each call.
 */
export type TraceDetail = 'flight' | 'full';

/** More buffers than a batch has: a small integer for V8. */
export const EACH_BUFFER = 0x3fff_ffff;
/** How many buffers of each batch are recorded one by one, by detail. */
export const EACH_OF: Readonly<Record<TraceDetail, number>> = { flight: 2, full: EACH_BUFFER };

/** The driver's end of a queue, as a recorder reads it. */
export interface FollowedQueue {
  /** Records the buffers that nothing was recorded of. */
  settle(): void;
  /** What the end knows of its last buffers. Cold. */
  lives(): readonly BufferLife[];
}

/** Where something is that is told in words. */
export interface EventPlace {
  /** Guest-physical. */
  readonly address?: number | undefined;
  readonly deviceAddress?: bigint | undefined;
  readonly length?: number | undefined;
}

/** Takes events where they happen. A call is numbers only, so that it allocates nothing. */
export interface Recorder {
  readonly detail: TraceDetail;

  /**
   * Reads the clock for the events that follow. Called once by a call that matters, such as one that publishes a batch:
   * reading the clock takes longer than recording an event. A recorder with `full` detail reads it for each call.
   */
  tick(): void;

  /**
   * Reads the clock where it was not read for some hundred events. Called for each batch that nothing slow comes with,
   * such as a notification. Hot.
   */
  tickLate(): void;

  /**
   * Takes an event. `kind` is a number of `KIND`, which says what the others mean; `queue` is -1 for the whole device;
   * `address` is guest-physical, -1 for none; `low` and `high` are the words of a device address. Hot: no allocation.
   */
  record(
    kind: number,
    queue: number,
    id: number,
    address: number,
    low: number,
    high: number,
    length: number,
    extra: number,
  ): void;

  /**
   * Takes an event without addresses, whose `length` has 32 bits. Hot: no allocation, and half of what {@link record}
   * takes.
   */
  mark(kind: number, queue: number, id: number, length: number, extra: number): void;

  /**
   * Takes an event as {@link mark} does for each of the first `count` of `ids` and `lengths`, with the same time. Hot:
   * no allocation.
   */
  markBatch(kind: number, queue: number, ids: Uint16Array, lengths: Uint32Array, count: number, extra: number): void;

  /**
   * Takes `count` events of buffers that {@link FollowedQueue.lives} knows, of kind `add`, `pop`, `push` or `takeUsed`:
   * those from position `from` on, in the order in which they were added, or came back. Hot: no allocation.
   */
  markRange(kind: number, queue: number, from: number, count: number, extra: number): void;

  /**
   * Takes `count` events `pop` and `push` in turn, as {@link markRange} does, of a device that serves one buffer after
   * the other: from these positions on, a `push` first where they differ, since a buffer is in flight then. Hot: no
   * allocation.
   */
  markTurns(queue: number, popFrom: number, pushFrom: number, count: number): void;

  /** Reads events of {@link markRange} and {@link markTurns} from this end from now on. Cold. */
  followQueue(queue: number, end: FollowedQueue): void;

  /** Keeps what the end knows: it forgets it. Cold. */
  unfollowQueue(queue: number): void;

  /** Has `settle` called before events are read, for the device's end of a queue. Cold. */
  followDevice(queue: number, settle: () => void): void;

  /**
   * Takes an event that is told in words, such as a fault with its cause. Reads the clock. Cold.
   */
  note(kind: number, queue: number, id: number, text: string, place?: EventPlace): void;
}
