import { BOUNCE_SEGMENT_SIZE } from '@virtio-platform/core/dma';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import { byteSize, failureSchedule, lowBitsMask, powerOfTwo } from '@virtio-platform/options';
import { z } from 'zod';

const LARGEST_POOL = 2 ** 36;
const LARGEST_COHERENT_POOL = 2 ** 30;
const MOST_AREAS = 64;
/** The fewest bits of an intermediate physical address. */
export const LEAST_IPA_BITS = 32;

/**
 * What protects memory, which decides what a device meets at a private page: ciphertext both ways (SEV and SEV-ES),
 * ciphertext and a blocked write (SEV-SNP), nothing and a poisoned line (TDX). A restricted pool protects without
 * encryption: a device reaches one range of memory, and everything has to come from there (Linux restricted-dma-pool).
 * With pKVM a hypervisor takes the pages of a guest from the host, and the guest shares that one range at boot. In a
 * realm of Arm CCA a shared page has an address of its own, with the top bit set.
 */
export const TECHNOLOGIES = ['sev', 'snp', 'tdx', 'restricted-pool', 'pkvm', 'cca'] as const;
/** The technology that protects guest memory. */
export type Technology = (typeof TECHNOLOGIES)[number];

/** Whether everything that a device reaches is in one pool, which is shared once. */
export function hasOnePool({ technology }: { readonly technology: Technology }): boolean {
  return technology === 'restricted-pool' || technology === 'pkvm';
}

/** What the host refuses on purpose. */
export interface SevFailures {
  /** Conversions of pages; the pages are then in an unknown state. */
  readonly conversion: FailureSchedule;
}

/** The `platform` section of a profile that uses this plugin. */
export interface SevOptions {
  readonly technology: Technology;
  /** Bytes of the bounce pool. */
  readonly pool: number;
  /** Bytes that the bounce pool may grow to. */
  readonly poolLimit: number;
  /** Whether a pool that memory has no room for is halved. */
  readonly halvePool: boolean;
  /** Bytes of the pool that rings come from; `undefined` where each is shared by itself. */
  readonly coherentPool?: number | undefined;
  /** Parts of the pool that are searched one after the other. */
  readonly areas: number;
  /** Low bits of its address that a buffer keeps in the pool. */
  readonly minAlignMask: number;
  /** No buffer in the pool crosses a multiple of this; `undefined` for none. */
  readonly boundary?: number | undefined;
  /** Bytes that are shared at once: more than a page with pKVM and CCA only. */
  readonly granule: number;
  /** CCA: bits of an intermediate physical address. The highest one is set in that of a shared page. */
  readonly ipaBits: number;
  /** Whether the guest was given an emulated IOMMU, which no encrypted guest supports. */
  readonly emulatedIommu: boolean;
  readonly failures: SevFailures;
}

/** What a profile may write for {@link SevOptions}. */
export interface SevOptionsInput {
  readonly technology?: Technology | undefined;
  readonly pool?: number | string | undefined;
  readonly poolLimit?: number | string | undefined;
  readonly halvePool?: boolean | undefined;
  readonly coherentPool?: number | string | undefined;
  readonly areas?: number | undefined;
  readonly minAlignMask?: number | bigint | undefined;
  readonly boundary?: number | string | undefined;
  readonly granule?: number | string | undefined;
  readonly ipaBits?: number | undefined;
  readonly emulatedIommu?: boolean | undefined;
  readonly failures?: { readonly conversion?: FailureSchedule | undefined } | undefined;
}

/** The schema of the options of the platform. */
export const sevOptionsSchema: z.ZodType<SevOptions, SevOptionsInput> = z
  .strictObject({
    technology: z
      .enum(TECHNOLOGIES)
      .default('sev')
      .describe(
        'What a device meets at a private page. sev: ciphertext, and it corrupts. snp: ciphertext, and its ' +
          'writes are blocked. tdx: zeros, and its writes poison. restricted-pool: no encryption, but it reaches ' +
          'the pool only. pkvm: the same, by a hypervisor of Arm that is asked to share the pool once. cca: a ' +
          'realm of Arm, in which the address of a shared page has the top bit set.',
      ),
    pool: byteSize({ multipleOf: BOUNCE_SEGMENT_SIZE, maximum: LARGEST_POOL })
      .prefault('1MiB')
      .describe('Shared memory that buffers are copied through: a multiple of 256KiB, at most 64GiB. Default 1MiB.'),
    poolLimit: byteSize({ multipleOf: BOUNCE_SEGMENT_SIZE, maximum: LARGEST_POOL })
      .optional()
      .describe(
        'Bytes that all pools may have together: where no slot is free, a pool as large as the first is added. ' +
          'Default: as many as pool, so that it never grows.',
      ),
    halvePool: z
      .boolean()
      .default(false)
      .describe('A pool that memory has no room for is halved, down to 1MiB, as Linux does at boot. Default false.'),
    coherentPool: byteSize({ multipleOf: 4096, maximum: LARGEST_COHERENT_POOL })
      .optional()
      .describe(
        'Rings come from a pool of this size, which is shared at once and doubles when it is full: 128KiB. ' +
          'Without it each ring is shared by itself.',
      ),
    areas: powerOfTwo(MOST_AREAS)
      .default(1)
      .describe('Parts of the pool, each 256KiB or more; every queue looks in one of its own first. Default 1.'),
    minAlignMask: lowBitsMask.describe(
      'Low bits of its address that a buffer keeps in the pool, as some devices need: 0xfff. Default 0.',
    ),
    boundary: byteSize({ powerOfTwo: true, minimum: 4096 })
      .optional()
      .describe('No buffer in the pool crosses a multiple of this: 64KiB. Without it a buffer may lie anywhere.'),
    granule: byteSize({ powerOfTwo: true, minimum: 4096, maximum: 65_536 })
      .optional()
      .describe('pkvm and cca: bytes that the guest shares at once, a power of two from 4KiB to 64KiB. Default 4KiB.'),
    ipaBits: z
      .int()
      .min(LEAST_IPA_BITS)
      .max(52)
      .optional()
      .describe('cca: bits of an intermediate physical address, the highest of which means shared. Default 48.'),
    emulatedIommu: z
      .boolean()
      .default(false)
      .describe('Gives the guest an emulated IOMMU, which an encrypted guest does not support: devices are refused.'),
    failures: z
      .strictObject({ conversion: failureSchedule.describe('Conversions of pages that the host refuses.') })
      .prefault({})
      .describe('What the host refuses on purpose.'),
  })
  .refine(({ technology, granule }) => granule === undefined || isArm(technology), {
    path: ['granule'],
    error: 'is an option of technology pkvm and cca: x86 converts pages of 4KiB',
  })
  .refine(({ technology, ipaBits }) => ipaBits === undefined || technology === 'cca', {
    path: ['ipaBits'],
    error: 'is an option of technology cca',
  })
  .refine(({ technology, emulatedIommu }) => !emulatedIommu || !isArm(technology), {
    path: ['emulatedIommu'],
    error: 'is an option of the technologies of x86',
  })
  .transform((options) => ({
    ...options,
    poolLimit: options.poolLimit ?? options.pool,
    granule: options.granule ?? 4096,
    ipaBits: options.ipaBits ?? 48,
  }))
  .refine(({ pool, areas }) => pool % (BOUNCE_SEGMENT_SIZE * areas) === 0, {
    path: ['areas'],
    error: 'each area is a multiple of 256KiB: enlarge the pool, or have fewer areas',
  })
  .refine(({ pool, poolLimit }) => poolLimit >= pool, {
    path: ['poolLimit'],
    error: 'is at least as large as platform.pool, which it limits',
  })
  .refine((options) => !hasOnePool(options) || options.poolLimit === options.pool, {
    path: ['poolLimit'],
    error: 'a restricted pool is a range of memory that the device tree names, and does not grow: leave it out',
  })
  .refine((options) => !hasOnePool(options) || options.coherentPool === undefined, {
    path: ['coherentPool'],
    error: 'rings are in the restricted pool itself: leave it out',
  })
  .refine(({ minAlignMask, boundary }) => boundary === undefined || minAlignMask < boundary / 2, {
    path: ['boundary'],
    error: 'a boundary leaves room for the bits of minAlignMask',
  });

function isArm(technology: Technology): boolean {
  return technology === 'pkvm' || technology === 'cca';
}
