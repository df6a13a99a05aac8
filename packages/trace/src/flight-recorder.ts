import { KIND_NAMES } from './event-kind.ts';
import type { Recorder } from './recorder.ts';
import type { Trace, TraceEvent } from './trace-event.ts';

/** Events that a flight recorder keeps unless told otherwise: the last few hundred requests. */
const DEFAULT_CAPACITY = 4096;
/** Bytes of the record of one event: a cache line. */
const RECORD_BYTES = 64;
const DOUBLES = RECORD_BYTES / 8;
const WORDS = RECORD_BYTES / 4;
/** Characters of the longest text that is kept of an event. */
const MOST_TEXT = 1000;

/**
 * Keeps the last events in preallocated arrays, and counts all. Reading leaves the events where they are. Hot: no
 * allocation per event.
 */
export class FlightRecorder implements Recorder {
  /** Events that it keeps: a power of two. */
  readonly capacity: number;
  readonly #startedAt = performance.now();
  /** One record of {@link RECORD_BYTES} for each event, so that an event touches one cache line. */
  readonly #doubles: Float64Array;
  readonly #words: Uint32Array;
  readonly #texts = new Map<number, string>();
  #count = 0;

  /** `capacity` is rounded up to a power of two, from 16 to 2^24. */
  constructor(capacity: number = DEFAULT_CAPACITY) {
    this.capacity = 2 ** Math.min(24, Math.max(4, Math.ceil(Math.log2(capacity))));
    const records = new ArrayBuffer(this.capacity * RECORD_BYTES);
    this.#doubles = new Float64Array(records);
    this.#words = new Uint32Array(records);
  }

  /** Events so far, also those that are not kept any more. */
  get count(): number {
    return this.#count;
  }

  record(
    kind: number,
    queue: number,
    id: number,
    address: number,
    low: number,
    high: number,
    length: number,
    extra: number,
  ): void {
    const at = this.#count++ & (this.capacity - 1);
    const doubles = this.#doubles;
    const words = this.#words;
    doubles[at * DOUBLES] = performance.now();
    doubles[at * DOUBLES + 1] = address;
    doubles[at * DOUBLES + 2] = length;
    const word = at * WORDS;
    words[word + 6] = kind;
    words[word + 7] = queue;
    words[word + 8] = id;
    words[word + 9] = low;
    words[word + 10] = high;
    words[word + 11] = extra;
  }

  note(kind: number, queue: number, id: number, text: string): void {
    this.#texts.set(this.#count, text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text);
    if (this.#texts.size > this.capacity) this.#forgetTexts();
    this.record(kind, queue, id, -1, 0, 0, 0, 0);
  }

  /** The events that are kept, the oldest first; with `last` at most so many. */
  read(last: number = this.capacity): Trace {
    const kept = Math.min(this.#count, this.capacity, Math.max(0, last));
    const events: TraceEvent[] = [];
    for (let index = this.#count - kept; index < this.#count; index++) events.push(this.#eventAt(index));
    return { events, dropped: this.#count - kept };
  }

  #eventAt(index: number): TraceEvent {
    const at = index & (this.capacity - 1);
    const doubles = this.#doubles.subarray(at * DOUBLES);
    const words = this.#words.subarray(at * WORDS);
    const address = doubles[1]!;
    return {
      index,
      time: (doubles[0]! - this.#startedAt) * 1000,
      kind: KIND_NAMES[words[6]!]!,
      queue: words[7]! | 0,
      id: words[8]! | 0,
      address: address < 0 ? null : address,
      deviceAddress: (BigInt(words[10]!) << 32n) | BigInt(words[9]!),
      length: doubles[2]!,
      extra: words[11]! | 0,
      text: this.#texts.get(index) ?? null,
    };
  }

  /** Texts of events that are not kept any more. */
  #forgetTexts(): void {
    for (const index of this.#texts.keys()) if (index < this.#count - this.capacity) this.#texts.delete(index);
  }
}
