import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { BenchReport } from '@virtio-platform/bench';
import { BENCH_SCHEMA_VERSION } from '@virtio-platform/bench';
import { CodedError, messageOf } from '@virtio-platform/core';
import { z } from 'zod';

const time = z.number().positive().finite();
const percentiles = z.object({
  p50: z.number(),
  p90: z.number(),
  p99: z.number(),
  p999: z.number(),
  max: z.number(),
});

/** What `bench --json` writes, as far as a comparison reads it. */
const reportSchema = z.object({
  schemaVersion: z.literal(BENCH_SCHEMA_VERSION),
  toolVersion: z.string(),
  startedAt: z.string(),
  machine: z.object({
    processor: z.string(),
    cores: z.number(),
    isPinned: z.boolean(),
    load: z.number(),
    node: z.string(),
    compiler: z.string().nullable(),
  }),
  settings: z.object({
    processes: z.number(),
    requests: z.number(),
    samples: z.number(),
    seconds: z.number(),
    raisesBudget: z.boolean(),
  }),
  results: z.array(
    z.object({
      id: z.string(),
      part: z.string(),
      unit: z.string(),
      axes: z.record(z.string(), z.union([z.string(), z.number()])),
      figures: z
        .array(
          z.object({
            subject: z.string(),
            best: z.number(),
            processes: z.array(z.number()).min(1),
            spread: z.number(),
            percentiles: percentiles.nullable(),
            bytesPerRequest: z.number().nullable(),
            ratio: z.number(),
          }),
        )
        .min(1),
      baseline: z.string().nullable(),
      times: z.number().nullable(),
      pauses: z.object({ requests: z.number(), aboveMillisecond: z.number(), collections: z.number() }).nullable(),
    }),
  ),
}) satisfies z.ZodType<BenchReport>;

/** A ring that is not ours, and what it needs. */
export interface BenchPeer {
  readonly name: string;
  /** On what machine, when, built how. */
  readonly measured: string;
  /** By the id of a case: the best time of each process, in the unit of the case. */
  readonly figures: Readonly<Record<string, readonly number[]>>;
}

/** The file of `--peers`: version 1 of what the README of `@virtio-platform/bench` documents. */
const peersSchema: z.ZodType<{ readonly peers: readonly BenchPeer[] }> = z.strictObject({
  schemaVersion: z.literal(1),
  peers: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(60),
        measured: z.string().max(200).default(''),
        figures: z.record(z.string(), z.array(time).min(1)),
      }),
    )
    .min(1)
    .max(20),
});

/** Reads a report of `bench --json`; `name` is relative to `cwd`. Throws {@link CodedError} `ERR_BENCH_FILE`. */
export function readBenchReport(cwd: string, name: string): BenchReport {
  return readChecked(
    cwd,
    name,
    reportSchema,
    'a report of a benchmark',
    'virtio-platform bench --json > FILE writes one',
  );
}

/** Reads a file of figures of other rings; `name` is relative to `cwd`. Throws {@link CodedError} `ERR_BENCH_FILE`. */
export function readPeers(cwd: string, name: string): readonly BenchPeer[] {
  const hint = 'its format is in the README of @virtio-platform/bench';
  return readChecked(cwd, name, peersSchema, 'a file of figures', hint).peers;
}

function readChecked<T>(cwd: string, name: string, schema: z.ZodType<T>, what: string, hint: string): T {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(resolve(cwd, name), 'utf8'));
  } catch (error) {
    throw new CodedError('ERR_BENCH_FILE', `${name}: ${messageOf(error)}`, { hint, cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw new CodedError('ERR_BENCH_FILE', `${name} is not ${what}: ${at}${issue?.message}`, { hint });
}
