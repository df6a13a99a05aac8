import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';

/** What a profile may say beside `use` and `memory`. */
export interface TemplateNameOptions {
  /** Random bytes that the device writes to a buffer at most. */
  readonly most: number;
}

/** Checks the options, and describes them to editors. */
export const optionsSchema: z.ZodType<TemplateNameOptions> = z.strictObject({
  most: byteSize({ minimum: 1, maximum: 65_536 })
    .prefault('1KiB')
    .describe('Random bytes that the device writes to a buffer at most.'),
});
