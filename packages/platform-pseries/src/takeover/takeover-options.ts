import { z } from 'zod';
import { DEFAULT_WINDOW_PAGE, type WindowInput, type WindowOptions } from '../window-options.ts';

/** What the kernel before left in the tables. */
export interface FormerOwnerOptions {
  readonly window: WindowOptions;
  /** Mapped pages of a dynamic window. */
  readonly buffers: number;
}

/** The kernel before where a profile does not say more of it. */
export const FORMER_OWNER: FormerOwnerOptions = {
  window: { kind: 'default', mapping: 'dynamic', pageSize: DEFAULT_WINDOW_PAGE },
  buffers: 64,
};

const MOST_BUFFERS = 2 ** 16;

/** The schema of `platform.formerOwner`; `window` is that of `platform.window`. */
export function formerOwnerSchema(
  window: z.ZodType<WindowOptions, WindowInput>,
): z.ZodType<FormerOwnerOptions, { window?: WindowInput | undefined; buffers?: number | undefined }> {
  return z.strictObject({
    window: window.prefault({ kind: 'default' }).describe('The DMA window that it mapped buffers in.'),
    buffers: z
      .int()
      .min(1)
      .max(MOST_BUFFERS)
      .default(FORMER_OWNER.buffers)
      .describe('Pages that a dynamic window of it still maps: the first ones. Default 64.'),
  });
}
