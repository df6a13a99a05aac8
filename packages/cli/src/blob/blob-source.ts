import { TOOL_VERSION } from '@virtio-platform/runner';
import type { PlannedRun } from '../run/run-plan.ts';
import type { Shard } from '../shard.ts';
import { BLOB_VERSION, type BlobFolders, type BlobHead, type BlobOptions, type BlobSource } from './blob-lines.ts';
import { fingerprint } from './fingerprint.ts';
import { portablePath } from './portable-path.ts';

/** What a blob of some runs is made with. */
export interface BlobSourceOptions {
  /** All runs of the command, those of other shards too. */
  readonly plan: readonly PlannedRun[];
  readonly shard: Shard;
  readonly folders: BlobFolders;
  readonly startedAt: Date;
  readonly options: BlobOptions;
  /** Whether the profile of a run makes no other. */
  readonly isOnly: (file: string) => boolean;
}

/** What the blob of a shard begins with. */
export function blobSource({ plan, shard, folders, startedAt, options, isOnly }: BlobSourceOptions): BlobSource {
  const places = new Map<object, number>(plan.map((planned, at) => [planned, at]));
  return {
    head: (): BlobHead => ({
      blob: BLOB_VERSION,
      toolVersion: TOOL_VERSION,
      shard,
      folders,
      startedAt: startedAt.toISOString(),
      options,
      plan: plan.map(({ run, profile }) => ({
        file: portablePath(run.file, folders),
        name: run.name,
        seed: run.workload.seed,
        isOnly: isOnly(run.file),
        made: fingerprint(run, profile, folders),
      })),
    }),
    placeOf: (planned) => places.get(planned) ?? -1,
  };
}
