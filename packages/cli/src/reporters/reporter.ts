import type { CodedError } from '@virtio-platform/core';
import type { RunReport } from '@virtio-platform/runner';
import type { BlobSource } from '../blob/blob-lines.ts';
import type { ExitStatus } from '../exit-status.ts';

/** A run that is to be made, as far as reporters are told of it. */
export interface ReportedPlan {
  readonly run: { readonly name: string; readonly file: string };
  /** What is wrong with its plugins: then it is not made, but has a report. */
  readonly error?: CodedError | undefined;
}

/** A run that has ended, with its report. */
export interface EndedRun<Planned extends ReportedPlan = ReportedPlan> {
  readonly planned: Planned;
  readonly report: RunReport;
  /** What people, or a program, were told of while it ran, beside the reporters. */
  readonly error?: CodedError | undefined;
}

/** Why runs were not made. */
export interface EarlyEnd {
  /** `interrupted by SIGINT`. */
  readonly reason: string;
  /** Whether the command was interrupted, and not what the user asked for. */
  readonly isInterrupted: boolean;
}

/** What is known once no run is made any more. */
export interface RunSummary {
  /** In their order, with their last reports. */
  readonly ended: readonly EndedRun[];
  /** Those that did not begin, and the one that was interrupted. */
  readonly notRun: readonly ReportedPlan[];
  /** `undefined` where all runs were made. */
  readonly earlyEnd: EarlyEnd | undefined;
  /** When the command began. */
  readonly startedAt: Date;
  readonly durationMs: number;
  /** What the command exits with, unless it is interrupted. */
  readonly status: ExitStatus;
}

/** Tells of the runs of one command, in one form, at one place. Nothing of a report is printable yet. */
export interface Reporter {
  /** All runs are known; none has begun. */
  begin?(plan: readonly ReportedPlan[]): void;
  /** A run has ended. */
  ended?(run: EndedRun): void;
  /** A run that ended earlier has another report: what a plugin of it left behind did something wrong. */
  amended?(run: EndedRun): void;
  /** No run is made any more. Called once, also where the command is interrupted. */
  end(summary: RunSummary): void;
}

/** What a reporter is made with. */
export interface ReporterOptions {
  /** Show only what is not as expected, and the summary. */
  readonly quiet: boolean;
  /** Show everything that is known of each run. */
  readonly verbose: boolean;
  /** Show the stack of what made a run fail. */
  readonly stack: boolean;
  /** Whether the seeds are given on the command line, so that people are told of each. */
  readonly showsSeeds: boolean;
  /** The command line that makes a run again, with its seed. */
  readonly again: (run: EndedRun) => string;
  /** A path as it is written in this folder, with `/`. */
  readonly local: (path: string) => string;
  /** What a blob of the runs begins with. */
  readonly blob: BlobSource;
}
