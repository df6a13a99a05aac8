import { DOMAIN_KINDS, type DomainKind, type OnLostInvalidation } from '@virtio-platform/core/dma';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import { byteSize, failureSchedule } from '@virtio-platform/options';
import { z } from 'zod';
import { ADDRESS_BITS, GRANULES, OUTPUT_BITS, type AddressBits, type Granule } from './unit/smmu-capabilities.ts';

/** What fails on purpose beneath the platform; an empty schedule never does. */
export interface Smmuv3Failures {
  /** Invalidations of pages and of ASIDs: the unit stops at the command, and says so. */
  readonly invalidation: FailureSchedule;
}

/** The SMMU of the simulated machine. */
export interface SimulatedSmmuOptions {
  readonly granules: readonly Granule[];
  /** Bits of a physical address: one of {@link OUTPUT_BITS}. */
  readonly outputBits: number;
  /** log2 of the events that its queue can have. */
  readonly eventBits: number;
  /** log2 of the commands that its queue can have. */
  readonly commandBits: number;
  /** Whether the interrupt controller tells devices apart. */
  readonly isolatedMsi: boolean;
}

/** The options of the platform, with defaults filled in. */
export interface Smmuv3Options {
  readonly domain: DomainKind;
  /** Bytes of a page of the translation tables. */
  readonly granule: Granule;
  /** Bits of an I/O virtual address: at 4 KiB 39 are three levels of tables, and 48 are four. */
  readonly addressBits: AddressBits;
  /** Bytes of I/O virtual addresses that are handed out, the highest below 2 GiB. */
  readonly aperture: number;
  readonly largePages: boolean;
  readonly onLostInvalidation: OnLostInvalidation;
  /** Whether the unit stands before devices that do not offer ACCESS_PLATFORM too. */
  readonly confinesEveryDevice: boolean;
  readonly failures: Smmuv3Failures;
  readonly unit: SimulatedSmmuOptions;
}

const LARGEST_APERTURE = 2 ** 31;
/** A buffer can begin in one page and end in the next. */
const LEAST_PAGES = 2;
/** Of a unit without the extension for 52 bits. */
const MOST_OUTPUT_BITS = 48;

const granule: z.ZodType<Granule, number | string> = byteSize({ powerOfTwo: true, minimum: 4096, maximum: 65_536 })
  .refine((bytes) => GRANULES.some((each) => each === bytes), { error: 'must be 4KiB, 16KiB or 64KiB' })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the line before has checked it
  .transform((bytes) => bytes as Granule);

const unit: z.ZodType<SimulatedSmmuOptions> = z.strictObject({
  granules: z
    .array(granule)
    .min(1)
    .max(GRANULES.length)
    .prefault([...GRANULES])
    .describe('The pages that its translation tables can have (IDR5). Default 4KiB, 16KiB and 64KiB, as QEMU.'),
  outputBits: z
    .literal(OUTPUT_BITS.filter((bits) => bits <= MOST_OUTPUT_BITS))
    .default(44)
    .describe('Bits of the physical addresses that it reaches (IDR5.OAS). Default 44, as QEMU.'),
  eventBits: z
    .int()
    .min(0)
    .max(19)
    .default(19)
    .describe('log2 of the events that its queue can have (IDR1.EVENTQS); the driver takes at most 7. Default 19.'),
  commandBits: z
    .int()
    .min(2)
    .max(19)
    .default(19)
    .describe('log2 of the commands that its queue can have (IDR1.CMDQS); the driver takes at most 8. Default 19.'),
  isolatedMsi: z
    .boolean()
    .default(true)
    .describe(
      'Whether the interrupt controller tells devices apart, as the ITS of a GICv3, so that a process may have one. ' +
        'Default true.',
    ),
});

const options = z.strictObject({
  domain: z
    .enum(DOMAIN_KINDS)
    .default('translated')
    .describe(
      'translated: each mapping gets addresses of its own, and its permissions. pass-through: the stream table lets ' +
        'addresses through (iommu.passthrough=1). identity: translation tables filled one to one, once. Default ' +
        'translated.',
    ),
  granule: granule
    .prefault(4096)
    .describe('Bytes of a page of the translation tables: 4KiB, 16KiB or 64KiB. Default 4KiB.'),
  addressBits: z
    .literal(ADDRESS_BITS)
    .default(39)
    .describe('Bits of an I/O virtual address: at 4KiB 39 for three levels of tables, 48 for four. Default 39.'),
  aperture: byteSize({ minimum: LEAST_PAGES * 4096, maximum: LARGEST_APERTURE })
    .prefault('1GiB')
    .describe(
      'I/O virtual addresses that a translated domain hands out: the highest below 2GiB. Small values show what ' +
        'happens when it is full. Default 1GiB.',
    ),
  largePages: z
    .boolean()
    .default(true)
    .describe('Whether blocks are used where both addresses allow it: of 2MiB, 32MiB or 512MiB. Default true.'),
  onLostInvalidation: z
    .enum(['keep', 'reuse'])
    .default('keep')
    .describe(
      'What becomes of pages whose invalidation the unit does not confirm. keep: the platform asks the unit again, ' +
        'and if that fails never uses the pages again. reuse: the platform does not check, so the device may reach ' +
        'memory of the next owner. Default keep.',
    ),
  confinesEveryDevice: z
    .boolean()
    .default(false)
    .describe(
      'Whether the unit stands also before a device that does not offer ACCESS_PLATFORM, as real ones do. By default ' +
        'such a device goes past it, as in QEMU.',
    ),
  failures: z
    .strictObject({
      invalidation: failureSchedule.describe(
        'Invalidations of pages and ASIDs at which the unit stops, as at a command that it does not know: { ' +
          'every: 50 }.',
      ),
    })
    .prefault({})
    .describe('What the unit does not do on purpose, and when.'),
  unit: unit.prefault({}).describe('The SMMU of the simulated machine.'),
});

/** The `platform` section of a profile that uses this plugin. */
export const smmuv3OptionsSchema: z.ZodType<Smmuv3Options> = options.refine(
  ({ aperture, granule: bytes }) => aperture % bytes === 0 && aperture >= LEAST_PAGES * bytes,
  { path: ['aperture'], error: 'must be a multiple of platform.granule, and at least two pages' },
);
