import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';

/** What a profile may say beside `use`. */
export interface TemplateNameOptions {
  /** Bytes between a physical address and the address that a device uses for it. */
  readonly offset: number;
}

/** Checks the options, and describes them to editors. */
export const optionsSchema: z.ZodType<TemplateNameOptions> = z.strictObject({
  offset: byteSize({ multipleOf: 4096, maximum: 2 ** 48 })
    .prefault('128GiB')
    .describe('Bytes between a physical address and the address that a device uses for it.'),
});
