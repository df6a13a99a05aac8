import type { EventKind } from './event-kind.ts';

/** One event as it is read. What its numbers mean is in the row of its kind in `EVENT_KINDS`. */
export interface TraceEvent {
  /** The number of the event in its run, from 0. */
  readonly index: number;
  /** Microseconds since the recorder was made. */
  readonly time: number;
  readonly kind: EventKind;
  /** -1 for the whole device. */
  readonly queue: number;
  readonly id: number;
  /** Guest-physical; `null` for none. */
  readonly address: number | null;
  /** 0 where the kind has none. */
  readonly deviceAddress: bigint;
  readonly length: number;
  readonly extra: number;
  /** Of an event that is told in words. */
  readonly text: string | null;
}

/** What a recorder kept of a run, in the order in which it happened. */
export interface Trace {
  readonly events: readonly TraceEvent[];
  /** Events that are not among these: earlier ones, and those of buffers that are forgotten. */
  readonly dropped: number;
}
