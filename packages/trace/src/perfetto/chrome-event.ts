/**
 * One event of a trace in the JSON format of Chrome, which Perfetto reads: "Trace Event Format", Google, 2016, with the
 * phases that are used here. https://perfetto.dev/docs/getting-started/other-formats#chrome-json-format
 */
export interface ChromeEvent {
  /**
   * M names a process or thread, i is an instant, X a slice, b and e begin and end an asynchronous slice, C is a
   * counter, s and f are the ends of an arrow.
   */
  readonly ph: 'M' | 'i' | 'X' | 'b' | 'e' | 'C' | 's' | 'f';
  readonly name: string;
  /** The run, from 1. */
  readonly pid: number;
  /** The track; see `TRACKS`. */
  readonly tid: number;
  /** Microseconds, of all but M. */
  readonly ts?: number;
  /** Microseconds of an X. */
  readonly dur?: number;
  readonly cat?: string;
  /** Of b, e, s and f. */
  readonly id?: string;
  /** How far an instant reaches: its thread or its process. */
  readonly s?: 't' | 'p';
  /** Where an arrow ends: in the slice around it. */
  readonly bp?: 'e';
  readonly args?: Readonly<Record<string, unknown>>;
}

/** The tracks of a run that are there for every run, by the number of their thread. */
export const TRACKS = {
  run: 1,
  driver: 2,
  mapping: 3,
  device: 4,
  iommu: 5,
  machine: 6,
} as const;

/** The number of the thread of a queue. */
export function queueTrack(queue: number): number {
  return 100 + queue;
}

/** The shortest slice: a nanosecond, so that an arrow has a slice to begin and end in. */
export const SHORTEST = 0.001;

/** A time with nanoseconds, which is as exact as Perfetto is. */
export function roundedTime(microseconds: number): number {
  return Math.round(microseconds * 1000) / 1000;
}
