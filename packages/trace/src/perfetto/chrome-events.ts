import { EVENT_KINDS, type EventKind } from '../event-kind.ts';
import type { Trace, TraceEvent } from '../trace-event.ts';
import { BufferSlices } from './buffer-slices.ts';
import { queueTrack, roundedTime, SHORTEST, TRACKS, type ChromeEvent } from './chrome-event.ts';
import { Counters } from './counters.ts';

/** Kinds that an arrow begins or ends at, or that last: they are slices. */
const SLICES: ReadonlySet<EventKind> = new Set<EventKind>(['publish', 'pop', 'push', 'wait']);
/** Kinds that concern the whole run: a line through all of its tracks. */
const OF_RUN: ReadonlySet<EventKind> = new Set<EventKind>(['fault', 'finding', 'mismatch', 'failure', 'broken']);

/** Characters of the name of an event. */
const LONGEST_NAME = 80;

/** How a run is shown. */
export interface ChromeRun {
  readonly name: string;
  /** The number of the run in its file, from 1. */
  readonly pid: number;
  /** Microseconds from the beginning of the file to the time 0 of the run. */
  readonly offset: number;
}

/**
 * Gives `emit` the events of a run as Perfetto shows them: one for each event of the trace, which has all of it in its
 * `args`; and the slices, arrows, counters and names that follow from them, whose `args` have no `kind`.
 */
export function emitChromeEvents({ events }: Trace, run: ChromeRun, emit: (event: ChromeEvent) => void): void {
  const { pid, offset } = run;
  nameTracks(events, run, emit);
  const buffers = new BufferSlices(pid, emit);
  const counters = new Counters(pid, emit);
  /** The end of the last slice of the driver: a wait begins there. */
  let driverEnd = 0;
  let ts = offset;
  for (const event of events) {
    const { kind } = event;
    ts = roundedTime(offset + event.time);
    counters.take(event, ts);
    const own = { pid, tid: trackOf(event), cat: EVENT_KINDS[kind].track, name: nameOf(event), args: argsOf(event) };
    if (kind === 'wait') {
      const start = Math.min(ts, Math.max(driverEnd, roundedTime(offset)));
      emit({ ...own, ph: 'X', ts: start, dur: roundedTime(Math.max(SHORTEST, ts - start)) });
    } else if (SLICES.has(kind)) emit({ ...own, ph: 'X', ts, dur: SHORTEST });
    else emit({ ...own, ph: 'i', ts, s: OF_RUN.has(kind) ? 'p' : 't' });
    if (own.tid === TRACKS.driver) driverEnd = Math.max(driverEnd, roundedTime(ts + SHORTEST));
    buffers.take(event, ts);
    if (kind === 'plugin') emitCall(event, run, ts, emit);
  }
  counters.flush();
  buffers.end(ts);
}

/** The call of a plugin as a slice that ends at its event. */
function emitCall(event: TraceEvent, { pid, offset }: ChromeRun, ts: number, emit: (event: ChromeEvent) => void): void {
  const own = { pid, tid: TRACKS.run, cat: 'plugin', name: nameOf(event), id: `${pid}.plugin.${event.index}` };
  emit({ ...own, ph: 'b', ts: Math.max(roundedTime(offset), roundedTime(ts - event.length)) });
  emit({ ...own, ph: 'e', ts });
}

function nameTracks(events: readonly TraceEvent[], { pid, name }: ChromeRun, emit: (event: ChromeEvent) => void): void {
  emit({ ph: 'M', pid, tid: 0, name: 'process_name', args: { name } });
  emit({ ph: 'M', pid, tid: 0, name: 'process_sort_index', args: { sort_index: pid } });
  const tracks = new Map<number, string>(
    Object.entries(TRACKS).map(([track, tid]) => [tid, TRACK_NAMES[track] ?? track]),
  );
  for (const { queue } of events) if (queue >= 0) tracks.set(queueTrack(queue), `queue ${queue}`);
  for (const [tid, track] of tracks) {
    emit({ ph: 'M', pid, tid, name: 'thread_name', args: { name: track } });
    emit({ ph: 'M', pid, tid, name: 'thread_sort_index', args: { sort_index: tid } });
  }
}

const TRACK_NAMES: Readonly<Record<string, string>> = { iommu: 'IOMMU' };

function trackOf({ kind }: TraceEvent): number {
  return kind === 'external' ? TRACKS.machine : TRACKS[EVENT_KINDS[kind].track];
}

function nameOf({ kind, text }: TraceEvent): string {
  // The first word of an event of the machine's program is its name.
  if (text !== null && kind === 'external') return text.split(' ', 1)[0]!;
  if (text !== null && kind === 'plugin') return text.slice(0, LONGEST_NAME);
  return EVENT_KINDS[kind].name;
}

/** All of an event, without what is empty: `readTraceFile` reads it back. */
function argsOf({
  index,
  time,
  kind,
  queue,
  id,
  address,
  deviceAddress,
  length,
  extra,
  text,
}: TraceEvent): object & Record<string, unknown> {
  return {
    kind,
    index,
    time,
    queue,
    id,
    ...(address !== null && { address }),
    ...(deviceAddress !== 0n && { deviceAddress: `0x${deviceAddress.toString(16)}` }),
    length,
    extra,
    ...(text !== null && { text }),
  };
}
