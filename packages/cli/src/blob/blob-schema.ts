import { REPORT_SCHEMA } from '@virtio-platform/runner/report-schema';
import { z } from 'zod';
import { ExitStatus } from '../exit-status.ts';
import { BLOB_VERSION } from './blob-lines.ts';

const text = z.string();
const count = z.int().min(0);
const shard = z
  .strictObject({ number: z.int().min(1), count: z.int().min(1).max(9999) })
  .refine(({ number, count: all }) => number <= all, 'is more than there are');

/** The schemas of the lines of a blob. */
export const BLOB_SCHEMAS: Readonly<Record<'head' | 'entry' | 'end', z.ZodType>> = {
  head: z.strictObject({
    blob: z.literal(BLOB_VERSION),
    toolVersion: text,
    shard,
    folders: z.strictObject({ cwd: text, shipped: text }),
    startedAt: z.iso.datetime({ precision: 3 }),
    options: z.strictObject({ set: z.array(text), sanitize: z.boolean(), showsSeeds: z.boolean() }),
    plan: z.array(z.strictObject({ file: text, name: text, seed: count, isOnly: z.boolean(), made: text })),
  }),
  entry: z.strictObject({
    run: count,
    error: z
      .strictObject({ code: text, message: text, hint: text.nullable(), issues: z.array(z.unknown()) })
      .nullable(),
    isMade: z.boolean(),
    report: REPORT_SCHEMA,
  }),
  end: z.strictObject({
    end: z.strictObject({
      durationMs: count,
      status: z.enum(ExitStatus),
      earlyEnd: z.strictObject({ reason: text, isInterrupted: z.boolean() }).nullable(),
    }),
  }),
};
