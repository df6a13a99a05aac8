import type { FailureSchedule } from '@virtio-platform/core/failure';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { byteSize, failureSchedule, pageAddress } from '@virtio-platform/options';
import { z } from 'zod';

/**
 * `translated`: each mapping gets addresses of its own. `bypass`: the unit lets the device's addresses through.
 * `identity`: one mapping over all of memory, with holes at reserved regions.
 */
export const DOMAINS = ['translated', 'bypass', 'identity'] as const;
/** The kind of domain of the device; see {@link DOMAINS}. */
export type Domain = (typeof DOMAINS)[number];

/** Features of the unit that a driver can do without. */
export const OPTIONAL_FEATURES = [
  'IOMMU_INPUT_RANGE',
  'IOMMU_DOMAIN_RANGE',
  'IOMMU_BYPASS',
  'IOMMU_PROBE',
  'IOMMU_BYPASS_CONFIG',
] as const;
/** One of {@link OPTIONAL_FEATURES}. */
export type OptionalFeature = (typeof OPTIONAL_FEATURES)[number];

/** What fails on purpose beneath the platform; an empty schedule never does. */
export interface VirtioIommuFailures {
  /** MAP requests that are answered with NOMEM. */
  readonly map: FailureSchedule;
  /** UNMAP requests that are answered with DEVERR: the mapping stays. */
  readonly unmap: FailureSchedule;
}

/** A reserved region of the simulated unit. */
export interface SimulatedReservedRegion {
  readonly start: number;
  readonly size: number;
  readonly kind: 'reserved' | 'msi';
}

/** The unit of the simulated machine. */
export interface SimulatedIommuOptions {
  readonly pageSize: number;
  readonly inputStart: number;
  readonly addressWidth: number;
  readonly firstDomain: number;
  readonly lastDomain: number;
  readonly probe: boolean;
  readonly packed: boolean;
  readonly bypass: 'config' | 'feature' | 'none';
  readonly bootBypass: boolean;
  readonly mappings: number;
  /** Whether the interrupt controller tells devices apart. */
  readonly isolatedMsi: boolean;
  readonly reserved: readonly SimulatedReservedRegion[];
}

/** The options of the platform, with defaults filled in. */
export interface VirtioIommuOptions {
  readonly domain: Domain;
  /** Bytes of I/O virtual addresses that are handed out. */
  readonly aperture: number;
  /** Bytes of a page of the guest's kernel, which the smallest page of the unit must not exceed. */
  readonly guestPageSize: number;
  /** The layout of the unit's own queues. */
  readonly layout: 'split' | 'packed';
  /** What becomes of endpoints without a domain. */
  readonly bypass: 'off' | 'on' | 'keep';
  /** Buffers for events of the unit. */
  readonly eventBuffers: number;
  readonly lacks: readonly OptionalFeature[];
  readonly failures: VirtioIommuFailures;
  readonly unit: SimulatedIommuOptions;
}

const LARGEST_APERTURE = 2 ** 31;
const LARGEST_PAGE = 2 ** 21;
/** A buffer can begin in one page and end in the next. */
const LEAST_PAGES = 2;
const LAST_DOMAIN = 0xffff_ffff;

/** Where an x86 device writes interrupts, as QEMU's q35 says. */
const X86_MSI: SimulatedReservedRegion = { start: 0xfee0_0000, size: 0x10_0000, kind: 'msi' };

const reservedRegion: z.ZodType<SimulatedReservedRegion> = z.strictObject({
  start: pageAddress.describe('The first address: 0xfee00000.'),
  size: byteSize({ multipleOf: PAGE_SIZE, minimum: PAGE_SIZE }).describe('Bytes.'),
  kind: z
    .enum(['reserved', 'msi'])
    .default('reserved')
    .describe('msi: a write there is an interrupt. reserved: no access there reaches memory. Default reserved.'),
});

const unit: z.ZodType<SimulatedIommuOptions> = z
  .strictObject({
    pageSize: byteSize({ minimum: PAGE_SIZE, maximum: LARGEST_PAGE, powerOfTwo: true })
      .prefault('4KiB')
      .describe('The smallest page that it maps (page_size_mask), at most 2MiB. Default 4KiB.'),
    inputStart: pageAddress.default(0).describe('The first I/O virtual address (input_range). Default 0.'),
    addressWidth: z
      .int()
      .min(20)
      .max(64)
      .default(64)
      .describe('Bits of the last I/O virtual address (input_range), 20 to 64. Default 64.'),
    firstDomain: z
      .int()
      .min(0)
      .max(LAST_DOMAIN)
      .default(0)
      .describe('The first domain number (domain_range). Default 0.'),
    lastDomain: z
      .int()
      .min(0)
      .max(LAST_DOMAIN)
      .default(LAST_DOMAIN)
      .describe('The last domain number (domain_range). Default 0xffffffff.'),
    probe: z.boolean().default(true).describe('Whether it answers PROBE. Default true.'),
    packed: z.boolean().default(true).describe('Whether its own queues may be packed (RING_PACKED). Default true.'),
    isolatedMsi: z
      .boolean()
      .default(false)
      .describe(
        'Whether the interrupt controller tells devices apart, as the ITS of a GICv3, so that a process may have one. ' +
          'That of a PC does not. Default false.',
      ),
    bypass: z
      .enum(['config', 'feature', 'none'])
      .default('config')
      .describe(
        'How it lets endpoints without a domain through. config: by a field (BYPASS_CONFIG). feature: where the driver ' +
          'accepts BYPASS, as units of before did. none: never. Default config.',
      ),
    bootBypass: z
      .boolean()
      .default(true)
      .describe('Whether it lets them through before a driver says otherwise. Default true, as QEMU.'),
    mappings: z
      .int()
      .min(1)
      .max(65_536)
      .default(16_384)
      .describe('How many mappings it holds; a further MAP is answered with NOMEM. Default 16384.'),
    reserved: z
      .array(reservedRegion)
      .max(16)
      .default([X86_MSI])
      .describe('Regions at which nothing can be mapped. Default the addresses of interrupts of a PC.'),
  })
  .refine(({ firstDomain, lastDomain }) => firstDomain <= lastDomain, {
    path: ['lastDomain'],
    error: 'must not be below firstDomain',
  })
  .refine(({ inputStart, addressWidth }) => inputStart < 2 ** addressWidth, {
    path: ['inputStart'],
    error: 'must be below 2^addressWidth',
  });

/** The `platform` section of a profile that uses this plugin. */
export const virtioIommuOptionsSchema: z.ZodType<VirtioIommuOptions> = z.strictObject({
  domain: z
    .enum(DOMAINS)
    .default('translated')
    .describe(
      'translated: each mapping gets addresses of its own, and exactly its permissions. bypass: the unit lets ' +
        'addresses through. identity: one mapping over all of memory, with holes at reserved regions. Default translated.',
    ),
  aperture: byteSize({ multipleOf: PAGE_SIZE, minimum: LEAST_PAGES * PAGE_SIZE, maximum: LARGEST_APERTURE })
    .prefault('1GiB')
    .describe(
      'I/O virtual addresses that a translated domain hands out, as high as possible below 2GiB. Small values show ' +
        'what happens when it is full. Default 1GiB.',
    ),
  guestPageSize: byteSize({ powerOfTwo: true, minimum: 4096, maximum: LARGEST_PAGE })
    .prefault('4KiB')
    .describe(
      "Bytes of a page of the guest's kernel: 4KiB, 16KiB or 64KiB of Linux. A unit that maps no page as small is " +
        'refused, as Linux does. Default 4KiB.',
    ),
  layout: z.enum(['split', 'packed']).default('split').describe("The layout of the unit's own queues. Default split."),
  bypass: z
    .enum(['off', 'on', 'keep'])
    .default('off')
    .describe(
      'What the driver has the unit do with endpoints without a domain, where it can (BYPASS_CONFIG or BYPASS). keep: ' +
        'what they found at boot, as Linux does. Default off.',
    ),
  eventBuffers: z
    .int()
    .min(1)
    .max(1024)
    .default(64)
    .describe('Buffers for events: the unit drops those for which there is none. Default 64.'),
  lacks: z
    .array(z.enum(OPTIONAL_FEATURES))
    .default([])
    .describe('Features of the unit that the driver does not know, as an older one: [IOMMU_BYPASS_CONFIG].'),
  failures: z
    .strictObject({
      map: failureSchedule.describe('MAP requests that are answered with NOMEM: { every: 50 }.'),
      unmap: failureSchedule.describe('UNMAP requests that are answered with DEVERR: { every: 50 }.'),
    })
    .prefault({})
    .describe('What the unit refuses on purpose, and when.'),
  unit: unit.prefault({}).describe('The unit of the simulated machine.'),
});

/** Whether anything fails on purpose, so that requests have to be wrapped. */
export function failsAny({ map, unmap }: VirtioIommuFailures): boolean {
  return Object.keys(map).length + Object.keys(unmap).length > 0;
}
