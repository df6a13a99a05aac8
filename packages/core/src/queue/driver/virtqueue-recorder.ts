import type { BrokenReason } from '../ring/broken-reason.ts';
import type { ScatterList } from './scatter-list.ts';

/** What is in a `UsedBatch`. */
export interface TakenBuffers {
  readonly count: number;
  readonly ids: Uint16Array;
  readonly written: Uint32Array;
}

/**
 * Is told by a driver's end what it does, once it is done: for a record of what happened. Counts of buffers run free in
 * 32 bits. What is called for each buffer or batch is hot: no allocation.
 */
export interface VirtqueueRecorder {
  /**
   * How many buffers of each batch it wants to be told of one by one. It can find the others in `Virtqueue.lives`, and
   * costs nothing for them. Buffers that are mapped one by one are told of one by one, too.
   */
  readonly each: number;
  /** The queue begins, or begins again after a reset: `Virtqueue.added` is this. */
  begin(added: number): void;
  /** A reset is about to take away what `Virtqueue.lives` says. */
  end(): void;
  /** A request was added with this id, as the last one of `added`, or refused for the negative reason of `add`. */
  added(id: number, list: ScatterList, added: number): void;
  /** The buffers up to `added` are shown to the device. `next` is `Virtqueue.nextAvailable` behind them. */
  published(isWanted: boolean, next: number, added: number): void;
  /** The buffers in `batch` came back, the last of `returned`. `next` is `Virtqueue.nextUsed` behind them. */
  taken(batch: TakenBuffers, next: number, returned: number): void;
  /** Notifications were asked for; `isQuiet` is false where some buffers had come already. */
  enabled(isQuiet: boolean): void;
  /** The queue is broken. */
  broke(reason: BrokenReason): void;
  /** A reset took back these buffers. */
  tookBack(ids: readonly number[]): void;
}
