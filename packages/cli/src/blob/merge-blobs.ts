import { CodedError, type ErrorCode } from '@virtio-platform/core';
import type { RunReport } from '@virtio-platform/runner';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import type { EarlyEnd, EndedRun, ReportedPlan, RunSummary } from '../reporters/reporter.ts';
import type { BlobError, BlobFolders, BlobHead } from './blob-lines.ts';
import { localPath, portablePath } from './portable-path.ts';
import type { Blob } from './read-blob.ts';
import { placesInPlan } from './same-plan.ts';

/** The runs of all shards, as one command would have made them. */
export interface MergedRuns extends RunSummary {
  readonly plan: readonly ReportedPlan[];
  /** Of the first shard: what all of them have in common. */
  readonly head: BlobHead;
}

/**
 * Merges the blobs of all shards, in whichever order they are given. `folders` are those of this machine, which paths
 * of the reports are moved to. Throws {@link CodedError} `ERR_RUN_MERGE` where a shard is missing, is there twice, or
 * is of other runs than the others.
 */
export function mergeBlobs(given: readonly Blob[], folders: BlobFolders): MergedRuns {
  const blobs = given.toSorted((a, b) => a.head.shard.number - b.head.shard.number);
  checkShards(blobs);
  const [first] = blobs;
  const { head } = first!;
  const plan = head.plan.map(({ file, name }): { run: ReportedPlan['run']; error?: CodedError } => ({
    run: { name, file: localPath(file, folders) },
  }));
  const ended: EndedRun[] = [];
  for (const blob of blobs) {
    const places = placesInPlan(first!, blob);
    for (const [at, { report, error, isMade }] of blob.entries) {
      const place = places[at]!;
      const coded = error === null ? undefined : toldError(error);
      if (!isMade && coded !== undefined) plan[place]!.error = coded;
      const moved = withLocalPaths(report, blob.head.folders, folders);
      ended[place] = { planned: plan[place]!, report: moved, error: isMade ? coded : undefined };
    }
  }
  return {
    plan,
    head,
    ...summaryOf(blobs),
    ended: Object.values(ended),
    notRun: plan.filter((_, at) => !(at in ended)),
  };
}

/** Throws where the blobs are not those of every shard, each once. They are sorted by number. */
function checkShards(blobs: readonly Blob[]): void {
  const { head, file } = blobs[0]!;
  const { count } = head.shard;
  const stranger = blobs.find((blob) => blob.head.shard.count !== count);
  if (stranger !== undefined) {
    const parts = `${file} is shard ${shardName(head)} and ${stranger.file} is shard ${shardName(stranger.head)}`;
    throw mergeError(parts, 'give the files of one set of shards');
  }
  const again = blobs.find((blob, i) => blobs[i - 1]?.head.shard.number === blob.head.shard.number);
  if (again !== undefined) {
    const twice = blobs.filter((blob) => blob.head.shard.number === again.head.shard.number).map((blob) => blob.file);
    const files = twice[0] === twice[1] ? `${twice[0]} is there twice` : `${twice.join(' and ')} are the same shard`;
    throw mergeError(`${files}: ${shardName(again.head)}`, 'give each shard once');
  }
  const there = new Set(blobs.map((blob) => blob.head.shard.number));
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((number) => !there.has(number));
  if (missing.length === 0) return;
  const names = missing.slice(0, MOST_NAMES).map((number) => `${number}/${count}`);
  const more = missing.length > MOST_NAMES ? `, and ${missing.length - MOST_NAMES} more` : '';
  const are =
    missing.length === 1 ? `the shard ${names[0]} is missing` : `shards are missing: ${names.join(', ')}${more}`;
  throw mergeError(
    are,
    `give its file, or make it: run --shard ${names[0]} --reporter blob=FILE with the same profiles`,
  );
}

/** The most shards that an error lists. */
const MOST_NAMES = 20;

function shardName({ shard: { number, count } }: BlobHead): string {
  return `${number}/${count}`;
}

function mergeError(message: string, hint: string): CodedError {
  return new CodedError('ERR_RUN_MERGE', message, { hint });
}

function summaryOf(blobs: readonly Blob[]): Pick<RunSummary, 'earlyEnd' | 'startedAt' | 'durationMs' | 'status'> {
  const starts = blobs.map(({ head }) => Date.parse(head.startedAt));
  const ends = blobs.map(({ end }, i) => starts[i]! + end.durationMs);
  const start = Math.min(...starts);
  const early = blobs.flatMap(({ end }): EarlyEnd[] => (end.earlyEnd === null ? [] : [end.earlyEnd]));
  const reasons = new Set(early.map(({ reason }) => reason));
  const isInterrupted = early.some((end) => end.isInterrupted);
  const status = blobs.map(({ end }) => end.status).reduce(worstStatus);
  return {
    earlyEnd: early.length === 0 ? undefined : { reason: [...reasons].join('; '), isInterrupted },
    startedAt: new Date(start),
    durationMs: Math.max(...ends) - start,
    status: isInterrupted ? worstStatus(status, ExitStatus.Differed) : status,
  };
}

/** The error that a process told of. */
export function toldError({ code, message, hint, issues }: BlobError): CodedError {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this version of the command wrote it
  const error = new CodedError(code as ErrorCode, message, { hint: hint ?? undefined });
  return issues.length === 0 ? error : Object.assign(error, { issues });
}

/** A report whose files are where this machine has them. */
function withLocalPaths(report: RunReport, from: BlobFolders, to: BlobFolders): RunReport {
  const moved = (path: string): string => localPath(portablePath(path, from), to);
  const { file, failure } = report;
  const plugin = failure?.plugin && { ...failure.plugin, file: moved(failure.plugin.file) };
  return { ...report, file: moved(file), failure: failure && { ...failure, plugin: plugin ?? null } };
}
