import type { Percentiles } from './measured/samples.ts';

/** The version of the object that `bench --json` prints: it grows when a field changes its meaning. */
export const BENCH_SCHEMA_VERSION = 1;

/** What one subject of a case took. Times in the unit of the part. */
export interface BenchFigure {
  /** `virtio-platform`, `C, every check`, `C, no check`, or the name of a peer. */
  readonly subject: string;
  /** The best of {@link processes}. */
  readonly best: number;
  /** The best sample of each process, less the best one of the loop at the other end, in the order of the turns. */
  readonly processes: readonly number[];
  /** What lies between the best and the worst process, as a part of the best: 0 is none. */
  readonly spread: number;
  /** Of all samples, or of all requests where each was timed; `null` where only the best are known. */
  readonly percentiles: Percentiles | null;
  /** Bytes of heap of a request; `null` where that was not measured. */
  readonly bytesPerRequest: number | null;
  /** How many times what this subject takes ours does: ratio of the bests. 1 for ours. */
  readonly ratio: number;
}

/** What one case came to: the figure of this project first. */
export interface BenchResult {
  readonly id: string;
  readonly part: string;
  readonly unit: string;
  readonly axes: Readonly<Record<string, string | number>>;
  readonly figures: readonly BenchFigure[];
  /** The case that {@link times} is about; `null` where there is none, or it was not measured. */
  readonly baseline: string | null;
  /** How many times what the baseline takes ours does. */
  readonly times: number | null;
  /** Requests above a millisecond, and garbage collections, where each request was timed. */
  readonly pauses: {
    readonly requests: number;
    readonly aboveMillisecond: number;
    readonly collections: number;
  } | null;
}

/** What `bench --json` prints. Stable: fields are added, never changed. */
export interface BenchReport {
  /** {@link BENCH_SCHEMA_VERSION}. */
  readonly schemaVersion: number;
  readonly toolVersion: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    /** Whether each process had one core for itself to run on. */
    readonly isPinned: boolean;
    /** Runnable processes of the last minute when it began: above 0.5 something else was at work. */
    readonly load: number;
    readonly node: string;
    /** First line of what the C compiler says of itself; `null` without one. */
    readonly compiler: string | null;
  };
  readonly settings: BenchSettings;
  readonly results: readonly BenchResult[];
}

/** How much is measured. */
export interface BenchSettings {
  /** Processes of each subject, in turn with those of the others of its case. */
  readonly processes: number;
  /** Requests of a sample. */
  readonly requests: number;
  readonly samples: number;
  /** Seconds of a latency. */
  readonly seconds: number;
  /** Whether the engine may inline as much as in the command: `raiseInliningBudget`. */
  readonly raisesBudget: boolean;
}

/** As much as gives figures to rely on. */
export const USUAL_SETTINGS: BenchSettings = {
  processes: 5,
  requests: 20_000,
  samples: 100,
  seconds: 5,
  raisesBudget: true,
};
/** A trial: everything runs, and no figure is to be relied on. */
export const QUICK_SETTINGS: BenchSettings = {
  processes: 2,
  requests: 2000,
  samples: 10,
  seconds: 0.5,
  raisesBudget: true,
};
