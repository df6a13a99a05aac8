import { printable } from '@virtio-platform/core';
import { EVENT_KINDS, KIND_NAMES, type TraceEvent } from '@virtio-platform/trace';
import type { Recording } from '../recording/recording.ts';
import { TRACK_TITLES, TRACKS } from '../recording/track.ts';

/** Parts of a microsecond in which the page has its times. */
const TICKS = 10;

/**
 * What the script of the page draws of one run. Lists of equal length, because they take a third of the space of
 * objects. Times are in tenths of microseconds from the first event on; -1 stands for one that is not known.
 */
export interface TimelineData {
  readonly end: number;
  /** Events of the run, and those that are here. */
  readonly count: number;
  readonly kept: number;
  readonly events: {
    /** Since the event before. */
    readonly time: readonly number[];
    readonly kind: readonly number[];
    readonly queue: readonly number[];
    readonly id: readonly number[];
    /** Hexadecimal; 0 for none. */
    readonly address: readonly (string | 0)[];
    readonly device: readonly (string | 0)[];
    readonly length: readonly number[];
    readonly extra: readonly number[];
  };
  /** Texts by the place of their event in the lists. */
  readonly texts: Readonly<Record<number, string>>;
  /** Places in the lists before which events are missing, with their number. */
  readonly gaps: readonly (readonly [at: number, missing: number])[];
  readonly buffers: {
    readonly queue: readonly number[];
    readonly id: readonly number[];
    readonly added: readonly number[];
    readonly popped: readonly number[];
    readonly pushed: readonly number[];
    readonly taken: readonly number[];
    readonly bytes: readonly number[];
    readonly written: readonly number[];
    /** 1 for a buffer that a queue reset took back. */
    readonly reset: readonly number[];
    readonly lane: readonly number[];
    readonly slot: readonly number[];
    readonly slots: readonly number[];
  };
  /** How much happened when, by track, for where events are missing. */
  readonly activity: {
    readonly start: number;
    readonly width: number;
    readonly counts: readonly (readonly number[])[];
  };
}

/** What all timelines of a page have in common. */
export interface TimelineWords {
  readonly kinds: readonly Readonly<Record<string, string>>[];
  readonly tracks: readonly { readonly name: string; readonly title: string }[];
}

/** The kinds of events and the tracks, as the script needs them. */
export function timelineWords(): TimelineWords {
  return {
    kinds: KIND_NAMES.map((kind) => ({ kind, ...EVENT_KINDS[kind] })),
    tracks: TRACKS.map((name) => ({ name, title: TRACK_TITLES[name] })),
  };
}

/** Arranges a recording for the script. `undefined` where nothing was recorded. */
export function timelineData(recording: Recording): TimelineData | undefined {
  const { events, count, slices, places, activity } = recording;
  const [first] = events;
  if (first === undefined) return undefined;
  const ticks = (time: number): number => Math.max(0, Math.round((time - first.time) * TICKS));
  const orUnknown = (time: number | null): number => (time === null ? -1 : ticks(time));
  const times = events.map(({ time }) => ticks(time));
  const texts = Object.fromEntries(
    events.flatMap(({ text }, at) => (text === null ? [] : [[at, printable(text)] as const])),
  );
  return {
    end: times.at(-1)!,
    count,
    kept: events.length,
    events: {
      time: times.map((time, at) => time - (times[at - 1] ?? 0)),
      kind: events.map(({ kind }) => KIND_NAMES.indexOf(kind)),
      queue: events.map(({ queue }) => queue),
      id: events.map(({ id }) => id),
      address: events.map(({ address }) => (address === null ? 0 : address.toString(16))),
      device: events.map(({ deviceAddress }) => (deviceAddress === 0n ? 0 : deviceAddress.toString(16))),
      length: events.map(({ length }) => length),
      extra: events.map(({ extra }) => extra),
    },
    texts,
    gaps: gapsOf(events),
    buffers: {
      queue: slices.map(({ queue }) => queue),
      id: slices.map(({ id }) => id),
      added: slices.map(({ added }) => ticks(added)),
      popped: slices.map(({ popped }) => orUnknown(popped)),
      pushed: slices.map(({ pushed }) => orUnknown(pushed)),
      taken: slices.map(({ taken }) => orUnknown(taken)),
      bytes: slices.map(({ bytes }) => bytes),
      written: slices.map(({ written }) => written),
      reset: slices.map(({ isTakenBack }) => (isTakenBack ? 1 : 0)),
      lane: slices.map(({ lane }) => lane),
      slot: slices.map(({ index }) => places.get(index)?.slot ?? -1),
      slots: slices.map(({ index }) => places.get(index)?.slots ?? 0),
    },
    activity: { ...activity, start: ticks(activity.start), width: activity.width * TICKS },
  };
}

function gapsOf(events: readonly TraceEvent[]): [number, number][] {
  return events.flatMap(({ index }, at) => {
    const missing = at === 0 ? index : index - events[at - 1]!.index - 1;
    return missing > 0 ? [[at, missing] as [number, number]] : [];
  });
}
