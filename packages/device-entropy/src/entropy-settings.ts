import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { ENTROPY_MOST_BYTES, ENTROPY_PERIOD, type EntropyLimits } from './entropy-limits.ts';

/** The device section of a profile for an entropy device. */
export interface EntropySettings extends EntropyLimits {
  /** Makes the bytes the same in every run: 32 bits; without it they are random. */
  readonly seed?: number | undefined;
}

/** What a profile may write. */
export interface EntropySettingsInput {
  readonly seed?: number | undefined;
  readonly bufferBytes?: number | string | undefined;
  readonly maxBytes?: number | string | undefined;
  readonly period?: number | undefined;
}

/** The schema of the settings. */
export const ENTROPY_SETTINGS: z.ZodType<EntropySettings, EntropySettingsInput> = z
  .strictObject({
    seed: z
      .int()
      .min(0)
      .max(0xffff_ffff)
      .optional()
      .describe('Gives the same bytes in every run; without it they are random.'),
    bufferBytes: byteSize({ minimum: 1, maximum: ENTROPY_MOST_BYTES })
      .optional()
      .describe('Bytes that one buffer gets at most, however long it is: 64B; without it 128KiB.'),
    maxBytes: byteSize({ minimum: 1 })
      .optional()
      .describe('Bytes that the device gives in one period at most: 1KiB; without it there is no limit.'),
    period: z
      .int()
      .min(1)
      .max(0x7fff_ffff)
      .optional()
      .describe(`Milliseconds of a period, with maxBytes; without it ${ENTROPY_PERIOD}.`),
  })
  .refine(({ maxBytes, period }) => maxBytes !== undefined || period === undefined, {
    error: 'a period has no meaning without maxBytes',
    path: ['period'],
  });
