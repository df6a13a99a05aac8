import type { AddressRange } from '@virtio-platform/core';
import type { NegotiationAccount, RunReport } from '@virtio-platform/runner';
import type { Recording } from './recording/recording.ts';

/** One run, with all that the page shows of it. */
export interface ReportedRun {
  readonly report: RunReport;
  /** The profile's file, as people write it. */
  readonly file: string;
  readonly summary: string;
  /** Of the workload; `undefined` where the profile could not be read in full. */
  readonly seed: number | undefined;
  /** The command line that makes this run again. */
  readonly command: string;
  /** Bytes of guest memory; `undefined` where the machine did not boot. */
  readonly memory?: number | undefined;
  /** `undefined` where driver and device did not negotiate. */
  readonly negotiation?: NegotiationAccount | undefined;
  /** `undefined` where the run ended before it had addresses. */
  readonly addresses?: { readonly isRestricted: boolean; readonly ranges: readonly AddressRange[] } | undefined;
  /** `undefined` where the run did not begin. */
  readonly recording?: Recording | undefined;
}

/** All runs of one command. */
export interface ReportedRuns {
  readonly runs: readonly ReportedRun[];
  /** The text of each profile by its {@link ReportedRun.file}. */
  readonly profiles: ReadonlyMap<string, string>;
  /** The command line that made the runs. */
  readonly command: string;
  readonly toolVersion: string;
  readonly startedAt: Date;
  /** Why runs were not made, such as `interrupted by SIGINT`; `undefined` where all were. */
  readonly earlyEnd?: string | undefined;
}
