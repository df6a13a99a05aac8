import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { DOMAIN_KINDS, type DomainKind, type OnLostInvalidation } from '@virtio-platform/core/dma';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import { byteSize, failureSchedule } from '@virtio-platform/options';
import { z } from 'zod';
import { MOST_LEVELS } from './unit/table-format.ts';

/** What fails on purpose beneath the platform; an empty schedule never does. */
export interface AmdIommuFailures {
  /** Invalidations of pages of which the unit is not told. */
  readonly invalidation: FailureSchedule;
}

/** The unit of the simulated machine. */
export interface SimulatedAmdOptions {
  /** Levels of page tables that it walks at most. */
  readonly levels: 4 | 5 | 6;
  readonly cachesAbsence: boolean;
  readonly invalidatesAll: boolean;
  readonly eventLog: boolean;
}

/** The options of the platform, with defaults filled in. */
export interface AmdIommuOptions {
  readonly domain: DomainKind;
  /** Levels of page tables, as the entry of the device says it (Mode): each has 9 bits of an address. */
  readonly levels: number;
  /** Bytes of I/O virtual addresses that are handed out, the highest below 2 GiB. */
  readonly aperture: number;
  readonly largePages: boolean;
  readonly onLostInvalidation: OnLostInvalidation;
  /** Whether the unit stands before devices that do not offer ACCESS_PLATFORM too. */
  readonly confinesEveryDevice: boolean;
  readonly failures: AmdIommuFailures;
  readonly unit: SimulatedAmdOptions;
}

const LARGEST_APERTURE = 2 ** 31;
/** A buffer can begin in one page and end in the next. */
const LEAST_PAGES = 2;

const unit: z.ZodType<SimulatedAmdOptions> = z.strictObject({
  levels: z
    .literal([4, 5, 6])
    .default(6)
    .describe('Levels of page tables that it walks at most (HATS): 4, 5 or 6. Default 6, as QEMU.'),
  cachesAbsence: z
    .boolean()
    .default(false)
    .describe(
      'Whether it also remembers what is not mapped (NpCache), so that each map is followed by an invalidation. ' +
        'Default false. QEMU says so, and does not.',
    ),
  invalidatesAll: z
    .boolean()
    .default(true)
    .describe('Whether it has INVALIDATE_IOMMU_ALL (IASup). Default true, as QEMU.'),
  eventLog: z
    .boolean()
    .default(true)
    .describe(
      'Whether it writes events to its log. Without, the status of its PCI function alone shows that it refused ' +
        'something, as QEMU. Default true.',
    ),
});

/** The `platform` section of a profile that uses this plugin. */
export const amdIommuOptionsSchema: z.ZodType<AmdIommuOptions> = z.strictObject({
  domain: z
    .enum(DOMAIN_KINDS)
    .default('translated')
    .describe(
      'translated: each mapping gets addresses of its own, and exactly its permissions. pass-through: the unit lets ' +
        'addresses through (iommu=pt). identity: page tables filled one to one, once. Default translated.',
    ),
  levels: z
    .int()
    .min(1)
    .max(MOST_LEVELS)
    .default(3)
    .describe(
      'Levels of page tables (Mode of the device table entry), 1 to 6: they translate 21, 30, 39, 48, 57 or 64 bits. ' +
        'Default 3, as Linux.',
    ),
  aperture: byteSize({ multipleOf: PAGE_SIZE, minimum: LEAST_PAGES * PAGE_SIZE, maximum: LARGEST_APERTURE })
    .prefault('1GiB')
    .describe(
      'I/O virtual addresses that a translated domain hands out: the highest below 2GiB, or below what its levels ' +
        'translate. Small values show what happens when it is full. Default 1GiB.',
    ),
  largePages: z
    .boolean()
    .default(true)
    .describe('Whether entries of 2MiB are used where both addresses allow it. Default true.'),
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
      'Whether the unit stands also before a device that does not offer ACCESS_PLATFORM, as real ones do. ' +
        'By default such a device bypasses it, as in QEMU.',
    ),
  failures: z
    .strictObject({
      invalidation: failureSchedule.describe(
        'Invalidations of pages of which the unit is not told, so that nothing confirms them: { every: 50 }.',
      ),
    })
    .prefault({})
    .describe('What the unit does not do on purpose, and when.'),
  unit: unit.prefault({}).describe('The unit of the simulated machine.'),
});

/** Whether anything fails on purpose, so that the facility has to be wrapped. */
export function failsAny({ invalidation }: AmdIommuFailures): boolean {
  return Object.keys(invalidation).length > 0;
}
