import { z } from 'zod';
import { ADDRESS_WIDTHS, type AddressWidth } from '../unit/vtd-capabilities.ts';
import { INVALIDATIONS, type InvalidationKind } from '../unit/vtd-unit.ts';

/** The kinds of tables that lead from a requester id to its domain. */
export const MODES = ['legacy', 'scalable'] as const;

/** What the kernel before set up, and left running. */
export interface FormerOwnerOptions {
  readonly mode: (typeof MODES)[number];
  readonly addressWidth: AddressWidth;
  readonly invalidation: InvalidationKind;
  readonly interruptRemapping: boolean;
  /** Mapped pages, the highest below 2 GiB. */
  readonly buffers: number;
}

/** The kernel before as a profile writes it. */
export type FormerOwnerInput = { [Key in keyof FormerOwnerOptions]?: FormerOwnerOptions[Key] | undefined };

const MOST_BUFFERS = 2 ** 16;

/** The schema of `platform.formerOwner`. */
export const formerOwnerSchema: z.ZodType<FormerOwnerOptions, FormerOwnerInput> = z
  .strictObject({
    mode: z.enum(MODES).default('legacy').describe('The tables of its unit. Default legacy.'),
    addressWidth: z.literal(ADDRESS_WIDTHS).default(39).describe('Bits of its I/O virtual addresses. Default 39.'),
    invalidation: z
      .enum(INVALIDATIONS)
      .optional()
      .describe('How it told the unit what to drop. By default registers, with mode: scalable queued.'),
    interruptRemapping: z
      .boolean()
      .default(false)
      .describe('Whether its unit remaps interrupts; needs invalidation: queued. Default false.'),
    buffers: z
      .int()
      .min(1)
      .max(MOST_BUFFERS)
      .default(64)
      .describe('Pages that it still maps: the highest below 2GiB. Default 64.'),
  })
  .transform(({ invalidation, ...owner }) => ({
    ...owner,
    invalidation: invalidation ?? (owner.mode === 'scalable' ? ('queued' as const) : ('registers' as const)),
  }))
  .refine(({ mode, invalidation }) => mode === 'legacy' || invalidation === 'queued', {
    path: ['invalidation'],
    error: 'scalable mode has no invalidation by registers: leave it out',
  })
  .refine(({ interruptRemapping, invalidation }) => !interruptRemapping || invalidation === 'queued', {
    path: ['interruptRemapping'],
    error: 'no register drops interrupt entries: add invalidation: queued',
  });
