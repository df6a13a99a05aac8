import type { BufferLife } from '@virtio-platform/core/queue';
import { KIND, KIND_NAMES, PUSH_NOT_SHOWN } from './event-kind.ts';
import { ExternalEvents } from './external-events.ts';
import { FollowedQueues, type FollowedReader } from './followed-queues.ts';
import type { EventPlace, FollowedQueue, Recorder, TraceDetail } from './recorder.ts';
import type { Trace, TraceEvent } from './trace-event.ts';

/** Events that a flight recorder keeps unless told otherwise: the last few hundred requests. */
const DEFAULT_CAPACITY = 4096;
/** Bytes of the record of one event: a cache line. */
const RECORD_BYTES = 64;
const DOUBLES = RECORD_BYTES / 8;
const WORDS = RECORD_BYTES / 4;
/** Events after which a batch has a time of its own, although nothing slow came with it. */
const UNTIMED_EVENTS = 256;
/** What a record begins with: the kind, whether it is brief, a range, a range of two kinds in turn, and the queue. */
const KIND_MASK = 0x7f;
const BRIEF = 0x80;
const RANGE = 0x100;
const TURNS = 0x200;
const QUEUE_SHIFT = 10;
/** Characters of the longest text that is kept of an event. */
const MOST_TEXT = 1000;

/** Options of a {@link FlightRecorder}. */
export interface FlightRecorderOptions {
  /** Default: `flight`. */
  readonly detail?: TraceDetail | undefined;
}

/**
 * Keeps the last events in preallocated arrays, and counts all. Reading leaves the events where they are. Of a batch of
 * buffers it keeps a range; the ends of the queue know the last buffers, and those that they forgot are among the
 * dropped events. Hot: no allocation per event.
 */
export class FlightRecorder implements Recorder {
  /** Events that it keeps: a power of two. */
  readonly capacity: number;
  readonly detail: TraceDetail;
  /** When it was made, by `performance.now()`: the zero of the times of its events. */
  readonly startedAt: number = performance.now();
  readonly #isFull: boolean;
  readonly #mask: number;
  /** One record of {@link RECORD_BYTES} for each event, so that an event touches one cache line. */
  readonly #doubles: Float64Array;
  /** The same memory. */
  readonly #words: Int32Array;
  /** Pairs: the number of the first event after a tick, and the time of the tick. */
  readonly #ticks: Float64Array;
  #tickCount = 0;
  /** Events at the last tick. */
  #tickedAt = 0;
  #external: ExternalEvents | undefined;
  readonly #texts = new Map<number, string>();
  readonly #queues = new FollowedQueues();
  /** Records so far, and events that ranges have beyond one each. */
  #count = 0;
  #ranged = 0;

  /** `capacity` is rounded up to a power of two, from 16 to 2^24. */
  constructor(capacity: number = DEFAULT_CAPACITY, { detail = 'flight' }: FlightRecorderOptions = {}) {
    this.capacity = 2 ** Math.min(24, Math.max(4, Math.ceil(Math.log2(capacity))));
    this.detail = detail;
    this.#isFull = detail === 'full';
    this.#mask = this.capacity - 1;
    const records = new ArrayBuffer(this.capacity * RECORD_BYTES);
    this.#doubles = new Float64Array(records);
    this.#words = new Int32Array(records);
    this.#ticks = new Float64Array(2 * this.capacity);
    this.tick();
  }

  /** Events so far, also those that are not kept any more. */
  get count(): number {
    this.#queues.settle();
    return this.#count + this.#ranged + (this.#external?.count ?? 0);
  }

  tick(): void {
    const ticks = this.#ticks;
    // A tick without an event since the one before takes its place: there are no more of them than events.
    const last = 2 * ((this.#tickCount - 1) & this.#mask);
    const at = ticks[last] === this.#count && this.#tickCount > 0 ? last : 2 * (this.#tickCount++ & this.#mask);
    ticks[at] = this.#count;
    ticks[at + 1] = performance.now();
    this.#tickedAt = this.#count;
  }

  tickLate(): void {
    if (this.#count - this.#tickedAt >= UNTIMED_EVENTS) this.tick();
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
    if (this.#isFull) this.tick();
    const words = this.#words;
    const doubles = this.#doubles;
    const at = this.#count++ & this.#mask;
    const word = at * WORDS;
    words[word] = kind | (queue << QUEUE_SHIFT);
    words[word + 1] = id;
    words[word + 2] = extra;
    words[word + 4] = low;
    words[word + 5] = high;
    doubles[at * DOUBLES + 3] = length;
    doubles[at * DOUBLES + 4] = address;
  }

  mark(kind: number, queue: number, id: number, length: number, extra: number): void {
    if (this.#isFull) this.tick();
    const words = this.#words;
    const word = (this.#count++ & this.#mask) * WORDS;
    words[word] = kind | BRIEF | (queue << QUEUE_SHIFT);
    words[word + 1] = id;
    words[word + 2] = extra;
    words[word + 3] = length;
  }

  markBatch(kind: number, queue: number, ids: Uint16Array, lengths: Uint32Array, count: number, extra: number): void {
    if (this.#isFull) this.tick();
    const words = this.#words;
    const mask = this.#mask;
    const head = kind | BRIEF | (queue << QUEUE_SHIFT);
    let next = this.#count;
    for (let i = 0; i < count; i++) {
      const word = (next++ & mask) * WORDS;
      words[word] = head;
      words[word + 1] = ids[i]!;
      words[word + 2] = extra;
      words[word + 3] = lengths[i]!;
    }
    this.#count = next;
  }

  markRange(kind: number, queue: number, from: number, count: number, extra: number): void {
    this.#markRange(kind | RANGE, queue, from, count, extra);
  }

  markTurns(queue: number, popFrom: number, pushFrom: number, count: number): void {
    this.#markRange(KIND.pop | RANGE | TURNS, queue, popFrom, count, pushFrom);
  }

  #markRange(head: number, queue: number, from: number, count: number, extra: number): void {
    const words = this.#words;
    const word = (this.#count++ & this.#mask) * WORDS;
    words[word] = head | (queue << QUEUE_SHIFT);
    words[word + 1] = from;
    words[word + 2] = extra;
    words[word + 3] = count;
    words[word + 4] = this.#queues.numberOf(queue);
    this.#ranged += count - 1;
  }

  followQueue(queue: number, end: FollowedQueue): void {
    this.#queues.follow(queue, end);
  }

  unfollowQueue(queue: number): void {
    this.#queues.unfollow(queue);
  }

  followDevice(queue: number, settle: () => void): void {
    this.#queues.followDevice(queue, settle);
  }

  note(kind: number, queue: number, id: number, text: string, place: EventPlace = {}): void {
    this.#queues.settle();
    this.#texts.set(this.#count, shortened(text));
    if (this.#texts.size > this.capacity) this.#forgetTexts();
    this.tick();
    const { address = -1, deviceAddress = 0n, length = 0 } = place;
    const low = Number(deviceAddress & 0xffff_ffffn);
    this.record(kind, queue, id, address, low, Number(deviceAddress >> 32n), length, 0);
  }

  /**
   * Takes an event of another program, which may come late: `at` is milliseconds of `performance.now()`. {@link read}
   * puts it in its place. Cold.
   */
  noteExternal(at: number, text: string): void {
    this.#external ??= new ExternalEvents(this.capacity);
    this.#external.add(Math.max(0, microseconds(at - this.startedAt)), shortened(text));
  }

  /** The events that are kept, the oldest first; with `last` at most so many. */
  read(last: number = this.capacity): Trace {
    this.#queues.settle();
    const events: TraceEvent[] = [];
    const isWhole = this.#external !== undefined || this.#ranged > 0;
    const first = Math.max(0, this.#count - this.capacity, isWhole ? 0 : this.#count - last);
    const reader = this.#queues.reader();
    let tick = this.#tickBefore(first);
    let index = this.#count + this.#ranged;
    for (let at = first; at < this.#count; at++) index -= this.#eventsAt(at);
    for (let at = first; at < this.#count; at++) {
      while (tick + 1 < this.#tickCount && this.#ticks[2 * ((tick + 1) & this.#mask)]! <= at) tick++;
      this.#readAt(at, { index, time: this.#timeOf(tick) }, reader, events);
      index += this.#eventsAt(at);
    }
    const since = first === 0 ? 0 : (events[0]?.time ?? 0);
    const all = this.#external?.mergedWith(events, since) ?? events;
    const kept = all.length <= last ? all : all.slice(all.length - Math.max(0, last));
    return { events: kept, dropped: this.count - kept.length };
  }

  #timeOf(tick: number): number {
    return microseconds(this.#ticks[2 * (tick & this.#mask) + 1]! - this.startedAt);
  }

  /** The number of the last tick that is kept before an event, or of the first one that is kept. */
  #tickBefore(index: number): number {
    let tick = this.#tickCount - 1;
    const oldest = Math.max(0, this.#tickCount - this.capacity);
    while (tick > oldest && this.#ticks[2 * (tick & this.#mask)]! > index) tick--;
    return tick;
  }

  /** Events of a record. */
  #eventsAt(at: number): number {
    const word = (at & this.#mask) * WORDS;
    return (this.#words[word]! & RANGE) === 0 ? 1 : this.#words[word + 3]!;
  }

  /** Reads the events of a record, as far as they are known. */
  #readAt(at: number, when: Pick<TraceEvent, 'index' | 'time'>, reader: FollowedReader, events: TraceEvent[]): void {
    const words = this.#words.subarray((at & this.#mask) * WORDS);
    const [head, from, extra, count, end] = [words[0]!, words[1]!, words[2]!, words[3]!, words[4]!];
    if ((head & RANGE) === 0) {
      events.push(this.#eventAt(at, when));
      return;
    }
    for (let i = 0; i < count; i++) {
      const known =
        (head & TURNS) !== 0
          ? turnOf(reader, end, from, extra, i)
          : eventOf(reader.buffer(end, head & KIND_MASK, from + i), head & KIND_MASK, extra);
      if (known !== undefined)
        events.push({ index: when.index + i, time: when.time, queue: head >> QUEUE_SHIFT, ...known });
    }
  }

  #eventAt(record: number, { index, time }: Pick<TraceEvent, 'index' | 'time'>): TraceEvent {
    const at = record & this.#mask;
    const words = this.#words.subarray(at * WORDS);
    const head = words[0]!;
    const event = { index, time, kind: KIND_NAMES[head & KIND_MASK]!, queue: head >> QUEUE_SHIFT, id: words[1]! };
    const [extra, text] = [words[2]!, this.#texts.get(record) ?? null];
    if ((head & BRIEF) !== 0)
      return { ...event, address: null, deviceAddress: 0n, length: words[3]! >>> 0, extra, text };
    const address = this.#doubles[at * DOUBLES + 4]!;
    return {
      ...event,
      address: address < 0 ? null : address,
      deviceAddress: (BigInt(words[5]! >>> 0) << 32n) | BigInt(words[4]! >>> 0),
      length: this.#doubles[at * DOUBLES + 3]!,
      extra,
      text,
    };
  }

  /** Texts of events that are not kept any more. */
  #forgetTexts(): void {
    for (const index of this.#texts.keys()) if (index < this.#count - this.capacity) this.#texts.delete(index);
  }
}

function shortened(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

/** Microseconds with three decimals, which a decimal number keeps. */
function microseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6) / 1000;
}

type BufferEvent = Omit<TraceEvent, 'index' | 'time' | 'queue'>;

/** What an event of this kind says of a buffer; `undefined` where the buffer is forgotten. */
function eventOf(life: BufferLife | undefined, kind: number, extra: number): BufferEvent | undefined {
  if (life === undefined) return undefined;
  const { id, deviceAddress, bytes, written, readable, segments } = life;
  const event = { kind: KIND_NAMES[kind]!, id, address: null, text: null };
  const isNew = kind === KIND.add || kind === KIND.pop;
  if (!isNew) return { ...event, deviceAddress: 0n, length: written, extra };
  return { ...event, deviceAddress, length: bytes, extra: (readable << 16) | segments };
}

/**
 * Event `i` of a device that serves one buffer after the other. Where a buffer is in flight, which is where the
 * positions differ, a `push` comes first. Each `push` is of the buffer that was popped last; until the driver is shown
 * the buffer, the length is not known.
 */
function turnOf(
  reader: FollowedReader,
  end: number,
  popFrom: number,
  pushFrom: number,
  i: number,
): BufferEvent | undefined {
  const turn = popFrom === pushFrom ? i : i + 1;
  const position = pushFrom + (turn >> 1);
  const popped = reader.buffer(end, KIND.pop, position);
  if ((turn & 1) === 0) return eventOf(popped, KIND.pop, 0);
  const pushed = reader.buffer(end, KIND.push, position);
  if (popped === undefined || pushed?.id === popped.id) return eventOf(pushed, KIND.push, 0);
  return eventOf({ ...popped, written: 0 }, KIND.push, PUSH_NOT_SHOWN);
}
