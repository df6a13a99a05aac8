import type { WorkloadProblem } from '@virtio-platform/core';
import { z } from 'zod';
import type { BlockSettings } from '../block-settings.ts';
import type { BlockWorkOptions } from './block-requests.ts';

/** What a disk has to refuse in the workload `mixed`. */
export const MIXED_CONDITIONS = ['read-only', 'past-end', 'unknown-type'] as const;
/** One of {@link MIXED_CONDITIONS}. */
export type MixedCondition = (typeof MIXED_CONDITIONS)[number];

/** The options of the workload `mixed`: parts of the requests, 0 to 1, of the kinds that the disk has. */
export interface MixedOptions extends BlockWorkOptions {
  /** Of what is neither of the others: the part that reads; the rest writes. With 1 nothing is changed. */
  readonly reads: number;
  readonly flushes: number;
  readonly discards: number;
  readonly writeZeroes: number;
  readonly secureErases: number;
  /** GET_ID and GET_LIFETIME. */
  readonly queries: number;
  /** How often the cache is switched, for each request. */
  readonly switches: number;
  /** `read-only`: the disk refuses each change, and stays as it is. The others add requests that it refuses. */
  readonly conditions: readonly MixedCondition[];
}

/** The options of a workload that reads, and changes nothing. */
export const READS_ONLY: Omit<MixedOptions, 'blockSize'> = {
  reads: 1,
  flushes: 0,
  discards: 0,
  writeZeroes: 0,
  secureErases: 0,
  queries: 0,
  switches: 0,
  conditions: [],
};

const share = z.number().min(0).max(1);

/** The schema of the options, of which the caller has that of the block size. */
export function mixedOptions(blockSize: z.ZodType<number, number | string>): z.ZodType<MixedOptions> {
  return z.strictObject({
    blockSize,
    reads: share.default(0.5).describe('The part of the other requests that read, 0 to 1; without it 0.5.'),
    flushes: share.default(0.01).describe('The part of the requests that flush, 0 to 1; without it 0.01.'),
    discards: share.default(0.05).describe('The part that discard, where the disk can; without it 0.05.'),
    writeZeroes: share.default(0.05).describe('The part that write zeroes, where the disk can; without it 0.05.'),
    secureErases: share.default(0.02).describe('The part that erase, where the disk can; without it 0.02.'),
    queries: share
      .default(0.01)
      .describe('The part that ask for the identification and the lifetime; without it 0.01.'),
    switches: share
      .default(0.002)
      .describe('How often the cache is switched between requests, where the disk can; without it 0.002.'),
    conditions: z
      .array(z.enum(MIXED_CONDITIONS))
      .default([])
      .describe(
        'What the disk has to refuse: each change (read-only), requests behind its end (past-end), and a request type ' +
          'that does not exist (unknown-type).',
      ),
  });
}

/** What is wrong with options that are right by themselves. */
export function mixedProblem({ resizes = [] }: BlockSettings, options: MixedOptions): WorkloadProblem | undefined {
  const { flushes, discards, writeZeroes, secureErases, queries, conditions } = options;
  if (flushes + discards + writeZeroes + secureErases + queries > 1)
    return { key: 'discards', message: 'flushes, discards, writeZeroes, secureErases and queries together exceed 1' };
  if (conditions.includes('past-end') && resizes.length > 0)
    return { key: 'conditions', message: 'past-end needs a disk that keeps its size, and device.resizes changes it' };
  return undefined;
}
