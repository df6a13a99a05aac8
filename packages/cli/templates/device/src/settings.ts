import { z } from 'zod';

/** What a profile may say of the device, beside `use` and `offers`. */
export interface TemplateNameSettings {
  /** Milliseconds from one tick to the next. */
  readonly interval: number;
  /** What each tick adds to the counter. */
  readonly step: number;
}

/** Checks the settings, and describes them to editors. */
export const settingsSchema: z.ZodType<TemplateNameSettings> = z.strictObject({
  interval: z.int().min(1).max(60_000).default(1).describe('Milliseconds from one tick to the next.'),
  step: z.int().min(1).max(1_000_000).default(1).describe('What each tick adds to the counter.'),
});
