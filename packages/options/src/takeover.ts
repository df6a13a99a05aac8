import { z } from 'zod';

/**
 * How the guest's kernel came to run where an IOMMU is live. `kexec`: another kernel started it without a reset, and
 * all of memory is its own now. `kdump`: another kernel crashed, this one runs in memory that was reserved for it, and
 * whatever the other one mapped stays mapped, because its devices may still use it.
 */
export const TAKEOVERS = ['kexec', 'kdump'] as const;
/** One of {@link TAKEOVERS}. */
export type Takeover = (typeof TAKEOVERS)[number];

/** The schema of `platform.takeover`. */
export const takeoverSchema: z.ZodType<Takeover, Takeover> = z
  .enum(TAKEOVERS)
  .describe(
    'The guest takes over live tables of a kernel before it. kexec: nothing of them is left. kdump: what is ' +
      'mapped stays mapped, because devices may still use it.',
  );
