import type { DescriptorFields } from '@virtio-platform/core/queue';
import type { EventKind } from '@virtio-platform/trace';
import type { RingReport } from '../report/ring-report.ts';

/** What an explanation may be of. */
export const EXPLANATION_KINDS = [
  'queue-broken',
  'stalled',
  'lost',
  'notification',
  'mismatch',
  'descriptor',
  'fault',
  'finding',
  'error',
] as const;
/** One of {@link EXPLANATION_KINDS}. */
export type ExplanationKind = (typeof EXPLANATION_KINDS)[number];

/**
 * What went wrong in a run, explained by what both ends of its rings, the driver's private record and the flight
 * recorder had when it happened. Stable: fields are added, never changed.
 */
export interface FailureExplanation {
  /** What the explanation is of: an error that ended the run, or what the run found and went on. */
  readonly kind: ExplanationKind;
  /** What happened, in one sentence, which names the place in short. */
  readonly what: string;
  /** Where it happened, in one sentence. */
  readonly where: string;
  readonly place: FailurePlace;
  /** What the evidence says beyond that, a sentence each: what it may come from, the rule of the specification. */
  readonly notes: readonly string[];
  /** The queue that the failure is about, as both ends had it; `null` where it is about none. */
  readonly ring: RingReport | null;
  /** The events that matter, in order: those of the buffer and slot, and the last ones of its queue. */
  readonly events: readonly ExplainedEvent[];
  /** Events before the first one that the recorder kept: 0 where it kept all. */
  readonly eventsDropped: number;
  /** The data around the first byte that differs; `null` where no data is wrong, or its bytes are not known. */
  readonly bytes: DifferingBytes | null;
  /** The descriptors of the buffer that the failure is about. */
  readonly descriptors: readonly ExplainedDescriptor[];
  /** What to do next; `null` where the failure says nothing. */
  readonly next: string | null;
}

/** The place of a failure; `null` for what it does not have, or what is not known. */
export interface FailurePlace {
  /** The operation and its place on the device: `read of sector 312`. */
  readonly operation: string | null;
  /** Counted from 1 in the order in which requests completed. */
  readonly request: number | null;
  readonly queue: number | null;
  /** The id of the buffer in its queue. */
  readonly buffer: number | null;
  /** Of the used ring, or of a packed ring. */
  readonly slot: number | null;
  /** Of a split ring the index (16 bits) of that slot, of a packed ring the slot with its wrap counter in bit 15. */
  readonly position: number | null;
  /** Guest-physical, hexadecimal. */
  readonly address: string | null;
  /** Hexadecimal. */
  readonly deviceAddress: string | null;
}

/** An event of the flight recorder. */
export interface ExplainedEvent {
  /** The number of the event in its run, from 0. */
  readonly index: number;
  /** Microseconds since the run began. */
  readonly time: number;
  readonly kind: EventKind;
  readonly queue: number | null;
  /** The event in words. */
  readonly text: string;
  /** Whether it is of the buffer or slot that the failure is about. */
  readonly isOfBuffer: boolean;
  /** Events between the one before and this one that are left out. */
  readonly skipped: number;
}

/** Bytes that were expected, and those that came: at most 256 of each, in hexadecimal digits without blanks. */
export interface DifferingBytes {
  /** Of the first byte that is shown, in the data of the request. */
  readonly offset: number;
  readonly expected: string;
  readonly actual: string;
}

/** A descriptor of a buffer, with addresses in hexadecimal. */
export interface ExplainedDescriptor {
  readonly isIn: 'ring' | 'table';
  readonly index: number;
  readonly written: ExplainedFields;
  /** What is in the memory of the ring; `null` where that is the same, or belongs to another buffer by now. */
  readonly found: ExplainedFields | null;
}

/** The fields of a descriptor; `next` of a packed ring is the buffer id. */
export interface ExplainedFields extends Omit<DescriptorFields, 'address'> {
  readonly address: string;
}

/** A failure without a place. */
export const NO_PLACE: FailurePlace = {
  operation: null,
  request: null,
  queue: null,
  buffer: null,
  slot: null,
  position: null,
  address: null,
  deviceAddress: null,
};
