import { resolve } from 'node:path';
import type { CodedError } from '@virtio-platform/core';
import { displayPath } from '@virtio-platform/profile';
import { mergeBlobs, type MergedRuns } from '../blob/merge-blobs.ts';
import { readBlob, type Blob } from '../blob/read-blob.ts';
import type { BlobFolders } from '../blob/blob-lines.ts';
import type { ExitStatus } from '../exit-status.ts';
import { printError } from '../print-error.ts';
import { openReporters } from '../reporters/open-reporters.ts';
import { audienceOf, type ReporterChoice } from '../reporters/reporter-choice.ts';
import type { ReporterOptions } from '../reporters/reporter.ts';
import { againCommand } from '../run/again-command.ts';
import { errorsOfPlan } from '../run/run-plan.ts';
import { WHOLE } from '../shard.ts';
import { shippedFolder } from '../shipped-profiles.ts';
import type { Terminal } from '../terminal.ts';

/** The options of `run --merge`. */
export interface MergeCommandOptions {
  /** At least one. */
  readonly reporters: readonly ReporterChoice[];
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether people are shown the stack of what made a run fail. */
  readonly stack: boolean;
}

/**
 * `run --merge <file...>`: tells of the runs that several shards made, as one command that made all of them would, with
 * its exit status. Throws coded errors.
 */
export async function mergeCommand(
  terminal: Terminal,
  files: readonly string[],
  options: MergeCommandOptions,
): Promise<ExitStatus> {
  const { asJson } = audienceOf(options.reporters);
  const folders = { cwd: terminal.cwd, shipped: shippedFolder() };
  const blobs: Blob[] = [];
  for (const file of files) blobs.push(await readBlob(resolve(terminal.cwd, file), file));
  const merged = mergeBlobs(blobs, folders);
  const tell = (error: CodedError): ExitStatus => printError(terminal, error, asJson);
  errorsOfPlan(merged.plan).forEach(tell);
  const opened = openReporters(terminal, options.reporters, reporterOptions(merged, folders, options));
  opened.begin(merged.plan);
  for (const run of merged.ended) {
    if (run.error !== undefined) tell(run.error);
    opened.ended(run);
  }
  opened.end(merged);
  opened.close().forEach(tell);
  return merged.status;
}

function reporterOptions(
  { plan, head }: MergedRuns,
  folders: BlobFolders,
  { quiet, verbose, stack }: MergeCommandOptions,
): ReporterOptions {
  const { set, sanitize, showsSeeds } = head.options;
  const places = new Map<object, number>(plan.map((planned, at) => [planned, at]));
  const placeOf = (planned: object): number => places.get(planned) ?? -1;
  const local = (path: string): string => displayPath(path, folders.cwd).replaceAll('\\', '/');
  return {
    quiet,
    verbose,
    stack,
    local,
    showsSeeds,
    again: ({ planned, report }) =>
      againCommand(report, head.plan[placeOf(planned)]?.isOnly === true, { set, sanitize, local }),
    blob: { head: () => ({ ...head, shard: WHOLE, folders }), placeOf },
  };
}
