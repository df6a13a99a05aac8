import { readFileSync } from 'node:fs';
import { CodedError, messageOf } from '@virtio-platform/core';
import type { MatrixCell, MatrixRow } from '@virtio-platform/runner';
import { z } from 'zod';

const texts = z.array(z.string());
const reference = z.object({
  name: z.string(),
  // Links go into pages.
  link: z.string().startsWith('https://'),
  messageId: z.string().optional(),
  commit: z.string().optional(),
});

/** What `matrix --json` writes. A matrix from before layouts and options has neither: split, and no option. */
const cellSchema = z.object({
  offer: z.string(),
  outcome: z.enum(['accepted', 'refused']),
  accepted: texts,
  acceptedBy: z.record(z.string(), z.string()).default({}),
  declined: z.array(z.object({ feature: z.string(), rule: z.string(), reason: z.string() })),
  path: z.string().nullable(),
  refusal: z
    .object({
      code: z.string(),
      rule: z.string(),
      reason: z.string(),
      source: z.string(),
      change: z.record(z.string(), z.string()),
    })
    .nullable(),
  rule: z.string(),
  option: z.string().nullable().default(null),
  source: z.string(),
  references: z.array(reference).default([]),
}) satisfies z.ZodType<MatrixCell>;

const matrixSchema: z.ZodType<readonly MatrixRow[]> = z.array(
  z.object({
    profile: z.string(),
    layout: z.enum(['split', 'packed']).default('split'),
    platform: z.string(),
    privilege: z.string(),
    cells: z.array(cellSchema),
  }),
);

/** Reads a matrix that `matrix --json` wrote. Throws `ERR_MATRIX_FILE`. */
export function readMatrix(path: string): readonly MatrixRow[] {
  const hint = 'virtio-platform matrix --json > FILE writes one';
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CodedError('ERR_MATRIX_FILE', `${path}: ${messageOf(error)}`, { hint });
  }
  const { data: rows, error } = matrixSchema.safeParse(data);
  if (rows !== undefined) return rows;
  const [issue] = error.issues;
  throw new CodedError('ERR_MATRIX_FILE', `${path}: no matrix: ${issue?.path.join('.')}: ${issue?.message}`, { hint });
}
