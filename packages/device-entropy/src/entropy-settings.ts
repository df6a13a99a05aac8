import { z } from 'zod';

/** The device section of a profile for an entropy device. */
export interface EntropySettings {
  /** Makes the bytes the same in every run: 32 bits; without it they are random. */
  readonly seed?: number | undefined;
}

/** The schema of the settings. */
export const ENTROPY_SETTINGS: z.ZodType<EntropySettings, EntropySettings> = z.strictObject({
  seed: z
    .int()
    .min(0)
    .max(0xffff_ffff)
    .optional()
    .describe('Gives the same bytes in every run; without it they are random.'),
});
