import { z } from 'zod';
import type { WindowInput, WindowOptions } from '../window-options.ts';

/**
 * How the guest's kernel came to run. `kexec`: another kernel started it without a reset, and all of memory is its own
 * now. `kdump`: another kernel crashed, this one runs in memory that was reserved for it, and whatever the other one
 * mapped stays mapped, because its devices may still use it.
 */
export const TAKEOVERS = ['kexec', 'kdump'] as const;
/** One of {@link TAKEOVERS}. */
export type Takeover = (typeof TAKEOVERS)[number];

/** What the kernel before left in the tables. */
export interface FormerOwnerOptions {
  readonly window: WindowOptions;
  /** Mapped pages of a dynamic window. */
  readonly buffers: number;
}

/** The kernel before where a profile does not say more of it. */
export const FORMER_OWNER: FormerOwnerOptions = {
  window: { kind: 'default', mapping: 'dynamic', pageSize: 4096 },
  buffers: 64,
};

const MOST_BUFFERS = 2 ** 16;

/** The schema of `platform.takeover`. */
export const takeoverSchema: z.ZodType<Takeover> = z
  .enum(TAKEOVERS)
  .describe(
    'The guest takes over live tables of a kernel before it. kexec: it clears them. kdump: it keeps what is mapped, and maps only beside it.',
  );

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
