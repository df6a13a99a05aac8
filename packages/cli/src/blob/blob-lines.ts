import type { RunReport } from '@virtio-platform/runner';
import type { ExitStatus } from '../exit-status.ts';
import type { Shard } from '../shard.ts';

/** The version of the lines of a blob. */
export const BLOB_VERSION = 1;

/** One of all runs of the command, whichever shard makes it. */
export interface BlobRun {
  /** Where its profile is, by {@link portablePath}. */
  readonly file: string;
  readonly name: string;
  readonly seed: number;
  /** Whether its profile makes no other run. */
  readonly isOnly: boolean;
  /** What the run is made of, by {@link fingerprint}. */
  readonly made: string;
}

/** The options of a command that its output shows, and that all shards have to have in common. */
export interface BlobOptions {
  readonly set: readonly string[];
  readonly sanitize: boolean;
  /** Whether seeds were given, so that people are told of each. */
  readonly showsSeeds: boolean;
}

/** The first line of a blob. */
export interface BlobHead {
  readonly blob: typeof BLOB_VERSION;
  readonly toolVersion: string;
  readonly shard: Shard;
  /** The folders that paths in the reports begin with. */
  readonly folders: BlobFolders;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly options: BlobOptions;
  /** All runs of the command in their order, those of other shards too. */
  readonly plan: readonly BlobRun[];
}

/** Folders of a machine: another one has the same files elsewhere. */
export interface BlobFolders {
  /** Where the command was started. */
  readonly cwd: string;
  /** Where the shipped profiles are. */
  readonly shipped: string;
}

/** What people, or a program, were told of on the error output. */
export interface BlobError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  /** Of a plugin that the profile names: where, and what is wrong with it; only handed on. */
  readonly issues: readonly unknown[];
}

/** A run that ended. Of several lines of one run the last one counts. */
export interface BlobEntry {
  /** Its place in the plan, from 0. */
  readonly run: number;
  /** What was told while it ran, or, where it was not made because of that, before. */
  readonly error: BlobError | null;
  readonly isMade: boolean;
  readonly report: RunReport;
}

/** The last line: the shard has ended, and nothing of it is missing. */
export interface BlobEnd {
  readonly end: {
    readonly durationMs: number;
    readonly status: ExitStatus;
    /** Why not all of its runs were made. */
    readonly earlyEnd: { readonly reason: string; readonly isInterrupted: boolean } | null;
  };
}

/** What the blob of a command begins with, and which run of the plan in it is which. */
export interface BlobSource {
  readonly head: () => BlobHead;
  /** The place, in the plan of the head, of what a reporter was told as a planned run. */
  placeOf(planned: object): number;
}
