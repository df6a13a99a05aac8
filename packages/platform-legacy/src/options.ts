import { z } from 'zod';

/** The `platform` section of a profile that uses this plugin. */
export interface LegacyOptions {
  readonly guestEndian: 'little' | 'big';
}

/** The schema of the options of the platform. */
export const legacyOptionsSchema: z.ZodType<LegacyOptions> = z.strictObject({
  guestEndian: z
    .enum(['little', 'big'])
    .default('little')
    .describe('Byte order of the guest, and so of the rings of a legacy device.'),
});
