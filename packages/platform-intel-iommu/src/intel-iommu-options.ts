import { DOMAIN_KINDS, type DomainKind, type OnLostInvalidation } from '@virtio-platform/core/dma';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { byteSize, failureSchedule, takeoverSchema, type Takeover } from '@virtio-platform/options';
import { z } from 'zod';
import { formerOwnerSchema, MODES, type FormerOwnerOptions } from './takeover/former-owner-options.ts';
import { ADDRESS_WIDTHS, type AddressWidth } from './unit/vtd-capabilities.ts';
import { INVALIDATIONS, type InvalidationKind } from './unit/vtd-unit.ts';

/** What fails on purpose beneath the platform; an empty schedule never does. */
export interface IntelIommuFailures {
  /** Invalidations of pages and of domains: the unit does not do them, and says so. */
  readonly invalidation: FailureSchedule;
  /** Of those in a queue, the ones that the unit gives up, as after a device that does not answer. */
  readonly timeout: FailureSchedule;
}

/** The remapping unit of the simulated machine. */
export interface SimulatedUnitOptions {
  readonly addressWidth: AddressWidth;
  readonly passThrough: boolean;
  readonly cachingMode: boolean;
  readonly queuedInvalidation: boolean;
  readonly interruptRemapping: boolean;
  readonly scalableMode: boolean;
  readonly faultRecords: number;
}

/** The options of the platform, with defaults filled in. */
export interface IntelIommuOptions {
  readonly domain: DomainKind;
  /** Of the tables that lead from a requester id to its domain. */
  readonly mode: (typeof MODES)[number];
  /** Bits of an I/O virtual address: 39 are three levels of page tables, 48 are four, 57 are five. */
  readonly addressWidth: AddressWidth;
  readonly invalidation: InvalidationKind;
  /** Whether the unit remaps interrupts too. The driver makes no entry: those of a kernel that crashed are all. */
  readonly interruptRemapping: boolean;
  /** Bytes of I/O virtual addresses that are handed out, the highest below 2 GiB. */
  readonly aperture: number;
  readonly largePages: boolean;
  readonly onLostInvalidation: OnLostInvalidation;
  /** Whether the unit stands before devices that do not offer ACCESS_PLATFORM too. */
  readonly confinesEveryDevice: boolean;
  /** How this kernel came to run, where another one ran before it without a reset. */
  readonly takeover?: Takeover | undefined;
  /** What that one left; only with `takeover`. */
  readonly formerOwner?: FormerOwnerOptions | undefined;
  readonly failures: IntelIommuFailures;
  readonly unit: SimulatedUnitOptions;
}

const LARGEST_APERTURE = 2 ** 31;
/** A buffer can begin in one page and end in the next. */
const LEAST_PAGES = 2;

const unit: z.ZodType<SimulatedUnitOptions> = z
  .strictObject({
    addressWidth: z
      .literal(ADDRESS_WIDTHS)
      .default(48)
      .describe('Bits of the widest address that it translates; it translates those of fewer levels too. Default 48.'),
    passThrough: z.boolean().default(true).describe('Whether it can let a device through (ECAP.PT). Default true.'),
    cachingMode: z
      .boolean()
      .default(false)
      .describe(
        'Whether it also remembers what is not mapped (CAP.CM), so that each map is followed by an invalidation.',
      ),
    queuedInvalidation: z
      .boolean()
      .default(true)
      .describe('Whether it takes invalidations from a queue in memory (ECAP.QI). Default true.'),
    interruptRemapping: z
      .boolean()
      .default(false)
      .describe('Whether it can remap interrupts (ECAP.IR); needs the queue. Default false, as QEMU here.'),
    scalableMode: z
      .boolean()
      .default(false)
      .describe('Whether it has scalable mode (ECAP.SMTS, ECAP.SLTS). Default false, as QEMU.'),
    faultRecords: z
      .int()
      .min(1)
      .max(8)
      .default(1)
      .describe('How many faults it can hold until they are read. Default 1, as QEMU; further ones are lost.'),
  })
  .refine(({ queuedInvalidation, interruptRemapping }) => queuedInvalidation || !interruptRemapping, {
    path: ['interruptRemapping'],
    error: 'a unit that remaps interrupts has a queue: leave queuedInvalidation out',
  });

const options = z.strictObject({
  domain: z
    .enum(DOMAIN_KINDS)
    .default('translated')
    .describe(
      'translated: each mapping gets addresses of its own, and exactly its permissions. pass-through: the unit lets addresses through (iommu=pt). identity: page tables filled one to one, once. Default translated.',
    ),
  mode: z
    .enum(MODES)
    .default('legacy')
    .describe(
      'The tables that lead from a requester to its domain. legacy: root and context table. scalable: a PASID ' +
        'directory and a PASID table behind them; needs invalidation: queued. Default legacy.',
    ),
  addressWidth: z
    .literal(ADDRESS_WIDTHS)
    .default(39)
    .describe(
      'Bits of an I/O virtual address: 39 for three levels of page tables, 48 for four, 57 for five. Default 39.',
    ),
  invalidation: z
    .enum(INVALIDATIONS)
    .default('registers')
    .describe(
      'How the unit is told what to drop. registers: a command each. queued: descriptors in guest memory, as Linux ' +
        'does wherever the unit has a queue. Default registers.',
    ),
  interruptRemapping: z
    .boolean()
    .default(false)
    .describe(
      'Whether the unit remaps the interrupts of devices: writes to 0xFEExxxxx. The driver makes no entry in the ' +
        'table, since the messages of a virtio device go to memory. Needs invalidation: queued. Default false.',
    ),
  aperture: byteSize({ multipleOf: PAGE_SIZE, minimum: LEAST_PAGES * PAGE_SIZE, maximum: LARGEST_APERTURE })
    .prefault('1GiB')
    .describe(
      'I/O virtual addresses that a translated domain hands out: the highest below 2GiB. Small values show what happens when it is full. Default 1GiB.',
    ),
  largePages: z
    .boolean()
    .default(true)
    .describe('Whether entries of 2MiB are used where both addresses allow it, and the unit has them. Default true.'),
  onLostInvalidation: z
    .enum(['keep', 'reuse'])
    .default('keep')
    .describe(
      'What becomes of pages whose invalidation the unit does not confirm. keep: the platform asks the unit again, and if that fails never uses the pages again. reuse: the platform does not check, so the device may reach memory of the next owner. Default keep.',
    ),
  confinesEveryDevice: z
    .boolean()
    .default(false)
    .describe(
      'Whether the unit stands also before a device that does not offer ACCESS_PLATFORM, as real ones do. By default such a device bypasses it, as in QEMU.',
    ),
  takeover: takeoverSchema.optional(),
  formerOwner: formerOwnerSchema
    .optional()
    .describe('What the kernel before set up and left running, with takeover. By default 64 pages in legacy mode.'),
  failures: z
    .strictObject({
      invalidation: failureSchedule.describe(
        'Invalidations of pages and domains that the unit does not do; it says so: { every: 50 }. A queue stops there.',
      ),
      timeout: failureSchedule.describe(
        'Invalidations in a queue that the unit gives up, as after a device that does not answer: { every: 50 }.',
      ),
    })
    .prefault({})
    .describe('What the unit does not do on purpose, and when.'),
  unit: unit.prefault({}).describe('The remapping unit of the simulated machine.'),
});

/** The `platform` section of a profile that uses this plugin. */
export const intelIommuOptionsSchema: z.ZodType<IntelIommuOptions> = options
  .refine(({ invalidation, failures }) => invalidation === 'queued' || !failsAny({ timeout: failures.timeout }), {
    path: ['failures', 'timeout'],
    error: 'only a unit that executes a queue gives up: add invalidation: queued, or write failures.invalidation',
  })
  .refine(({ invalidation, mode }) => invalidation === 'queued' || mode === 'legacy', {
    path: ['mode'],
    error: 'scalable mode has no invalidation by registers: add invalidation: queued',
  })
  .refine(({ invalidation, interruptRemapping }) => invalidation === 'queued' || !interruptRemapping, {
    path: ['interruptRemapping'],
    error: 'no register drops interrupt entries: add invalidation: queued',
  })
  .refine(({ takeover, formerOwner }) => takeover !== undefined || formerOwner === undefined, {
    path: ['formerOwner'],
    error: 'has no effect without takeover: kexec or kdump',
  });

/** Whether anything fails on purpose, so that a facility has to be wrapped. */
export function failsAny(failures: Partial<IntelIommuFailures>): boolean {
  return Object.values(failures).some((schedule) => Object.keys(schedule).length > 0);
}
