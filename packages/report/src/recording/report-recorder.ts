import {
  EVENT_KINDS,
  FlightRecorder,
  KIND,
  KIND_NAMES,
  LatencyHistogram,
  type EventKind,
  type LatencySummary,
  type TraceEvent,
} from '@virtio-platform/trace';
import { Activity, type ActivitySummary } from './activity.ts';
import { TRACKS } from './track.ts';

/** Of the events that the page needs wherever they happened: those that are kept beside the first and the last ones. */
const MOST_PINNED = 1024;
/** Kinds of which the page shows each: what a device may reach, and what is wrong. */
const PINNED: readonly EventKind[] = [
  'premap',
  'coherent',
  'release',
  'enableQueue',
  'resetQueue',
  'fault',
  'broken',
  'negotiation',
  'plugin',
  'finding',
  'mismatch',
  'failure',
];
/** Queues whose buffers are timed; the specification allows more than any device has. */
const MOST_QUEUES = 1024;

/** The track of each kind, by its number. */
const TRACK_OF = Uint8Array.from(KIND_NAMES, (name) => TRACKS.indexOf(EVENT_KINDS[name].track));
const IS_PINNED = Uint8Array.from(KIND_NAMES, (name) => (PINNED.includes(name) ? 1 : 0));

/** What was recorded of a run, in order: all of a short one. */
export interface KeptEvents {
  readonly events: readonly TraceEvent[];
  /** Events in all. */
  readonly count: number;
}

/**
 * A recorder that keeps of a long run what the page shows: the first events, the last ones, those that tell of memory
 * and of what is wrong, and of all requests how long they took. Constant memory, and nothing is allocated for an event
 * that a request consists of.
 */
export class ReportRecorder extends FlightRecorder {
  readonly #head: FlightRecorder;
  readonly #most: number;
  readonly #pinned: TraceEvent[] = [];
  readonly #latencies = new LatencyHistogram();
  readonly #activity = new Activity(TRACKS.length);
  /** By queue: when the buffer with an id was added, in microseconds; -1 for one that is not there. */
  readonly #addedAt: Float64Array[] = [];

  /** Keeps about `most` events. */
  constructor(most: number) {
    super(most, { detail: 'full' });
    this.#head = new FlightRecorder(Math.ceil(most / 4), { detail: 'full' });
    this.#most = most;
  }

  /** From the driver's adding a buffer until it took it back, of all buffers of the run. */
  get latency(): LatencySummary | undefined {
    return this.#latencies.summary();
  }

  get activity(): ActivitySummary {
    return this.#activity.summary();
  }

  override record(
    kind: number,
    queue: number,
    id: number,
    address: number,
    low: number,
    high: number,
    length: number,
    extra: number,
  ): void {
    this.#see(kind, queue, id, extra);
    if (this.#hasRoom) this.#head.record(kind, queue, id, address, low, high, length, extra);
    super.record(kind, queue, id, address, low, high, length, extra);
    if (IS_PINNED[kind] === 1) this.#pin();
  }

  override mark(kind: number, queue: number, id: number, length: number, extra: number): void {
    this.#see(kind, queue, id, extra);
    if (this.#hasRoom) this.#head.mark(kind, queue, id, length, extra);
    super.mark(kind, queue, id, length, extra);
    if (IS_PINNED[kind] === 1) this.#pin();
  }

  override markBatch(
    kind: number,
    queue: number,
    ids: Uint16Array,
    lengths: Uint32Array,
    count: number,
    extra: number,
  ): void {
    for (let i = 0; i < count; i++) this.mark(kind, queue, ids[i]!, lengths[i]!, extra);
  }

  /** The first events, the last ones and those that are pinned: about as many as the recorder was made for. */
  kept(): KeptEvents {
    const behind = (this.#head.startedAt - this.startedAt) * 1000;
    const first = this.#head.read().events.map((event) => ({ ...event, time: event.time + behind }));
    const last = this.read(Math.max(0, this.#most - first.length)).events;
    const byIndex = new Map<number, TraceEvent>();
    // The first ones are without their texts: what has a text is pinned.
    for (const event of [...this.#pinned, ...last, ...first])
      if (!byIndex.has(event.index)) byIndex.set(event.index, event);
    return { events: [...byIndex.values()].toSorted((a, b) => a.index - b.index), count: this.count };
  }

  /** Whether one more event is among the first ones. */
  get #hasRoom(): boolean {
    return this.#head.count < this.#head.capacity;
  }

  #see(kind: number, queue: number, id: number, extra: number): void {
    const micros = (performance.now() - this.startedAt) * 1000;
    this.#activity.add(TRACK_OF[kind]!, micros);
    if (kind === KIND.add) this.#added(queue, id, micros);
    else if (kind === KIND.takeUsed) this.#taken(queue, id, micros);
    else if (kind === KIND.enableQueue) this.#enabled(queue, extra);
  }

  #enabled(queue: number, entries: number): void {
    if (queue >= 0 && queue < MOST_QUEUES) this.#addedAt[queue] = new Float64Array(entries).fill(-1);
  }

  #added(queue: number, id: number, micros: number): void {
    const added = this.#addedAt[queue];
    if (added !== undefined && id >= 0 && id < added.length) added[id] = micros;
  }

  #taken(queue: number, id: number, micros: number): void {
    const added = this.#addedAt[queue];
    if (added === undefined || !(added[id]! >= 0)) return;
    this.#latencies.add(micros - added[id]!);
    added[id] = -1;
  }

  #pin(): void {
    if (this.#pinned.length < MOST_PINNED) this.#pinned.push(...this.read(1).events);
  }
}

/** Events on a page in all, which keeps it below 5 MB. */
const MOST_EVENTS = 60_000;
/** Of one run at most, and at least. */
const MOST_OF_RUN = 40_000;
const LEAST_OF_RUN = 600;

/** How many events the recorder of one of so many runs keeps. */
export function recordedEvents(runs: number): number {
  return Math.max(LEAST_OF_RUN, Math.min(MOST_OF_RUN, Math.floor(MOST_EVENTS / Math.max(1, runs))));
}
