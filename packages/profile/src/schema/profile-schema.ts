import { DMA_PATHS, type DmaPath } from '@virtio-platform/core/dma';
import { featureName, VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { DRIVER_PRIVILEGES, type DriverPrivilege } from '@virtio-platform/core/negotiation';
import { z } from 'zod';
import { DEVICE_TYPES, FEATURE_NAMES, knownFeature, type DeviceType } from './device-types.ts';
import { POLICY_SECTION, type CheckedPolicy } from './policy-section.ts';
import { DURATION, parseQuantity, quantityPattern, SIZE, type UnitSystem } from '../quantity.ts';
import type { FailuresSection, Interruption, WorkloadSection } from './profile.ts';
import { closest } from '../source/suggestion.ts';

/** What a block device is addressed in. Virtio 1.4 section 5.2.4. */
const SECTOR = 512;
/** The largest virtqueue of either layout. Virtio 1.4 sections 2.7 and 2.8. */
const MAX_QUEUE_SIZE = 32_768;
/** So that all queues of a network device, with the control queue, are at most 31. */
const MAX_QUEUE_PAIRS = 15;
const MAX_PORTS = 31;
/** Of a block device. */
const MAX_QUEUES = 64;
/** Bytes of the identification string of a block device. Virtio 1.4 section 5.2.6. */
const MAX_SERIAL = 20;
/** A day: longer is no bound. */
const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/** A profile as the schema gives it: merged, defaults filled in, places forgotten. */
export interface CheckedProfile {
  readonly profile: string;
  readonly summary: string;
  readonly platform: { readonly use: string };
  readonly machine: { readonly use: string; readonly memory: number };
  readonly device: {
    readonly type: DeviceType;
    readonly interface: 'modern' | 'transitional' | 'legacy';
    readonly offers?: readonly string[] | undefined;
    readonly capacity?: number | undefined;
    readonly image?: string | undefined;
    readonly readOnly?: boolean | undefined;
    readonly serial?: string | undefined;
    readonly queues?: number | undefined;
    readonly mac?: string | undefined;
    readonly queuePairs?: number | undefined;
    readonly columns?: number | undefined;
    readonly rows?: number | undefined;
    readonly ports?: number | undefined;
    readonly seed?: number | undefined;
  };
  readonly driver: {
    readonly privilege: DriverPrivilege;
    readonly interface?: 'modern' | 'legacy' | undefined;
    readonly buffers: 'premapped' | 'streaming' | 'coherent';
    readonly timeout: number;
    readonly lacks?: readonly string[] | undefined;
    readonly clears?: readonly string[] | undefined;
    readonly forces?: readonly string[] | undefined;
    readonly sanitize: boolean;
  };
  readonly policy: CheckedPolicy;
  readonly queue: { readonly layout: 'split' | 'packed'; readonly size: number };
  readonly workload: {
    readonly kind: WorkloadSection['kind'];
    readonly requests: number;
    readonly depth: number;
    readonly blockSize: number;
    readonly seed: number;
    readonly interruptions: readonly Interruption[];
  };
  readonly failures: FailuresSection;
  readonly expect: {
    readonly accepted?: readonly string[];
    readonly declined?: readonly string[];
    readonly path?: DmaPath;
    readonly outcome?: 'completed' | 'refused' | 'failed';
    readonly refusal?: string;
    readonly failure?: string;
    readonly faults?: number;
    readonly recorded?: number;
    readonly findings?: number;
    readonly verified?: boolean;
  };
}

/** Anything the sections of a profile are made of. */
export type SectionName = Exclude<keyof CheckedProfile, 'profile' | 'summary'>;

const platform = z.looseObject({
  use: z.string().min(1).describe('The platform plugin: the name of its package, or a path that starts with ./ or ../'),
});

const machine = z.looseObject({
  use: z.string().min(1).describe('The machine plugin: the name of its package, or a path that starts with ./ or ../'),
  memory: size({ multipleOf: PAGE_SIZE, minimum: 2 * PAGE_SIZE }).meta(quantityForm(SIZE, 'Guest memory: 64MiB.')),
});

const device = z.strictObject({
  type: z.enum(DEVICE_TYPES).describe('The device type.'),
  interface: z
    .enum(['modern', 'transitional', 'legacy'])
    .default('modern')
    .describe('Which interfaces the device has; a transitional device has both.'),
  offers: featureList('What the device offers; without it, all that the machine implements.').optional(),
  capacity: optionalSize({ multipleOf: SECTOR, minimum: SECTOR }).meta(
    quantityForm(SIZE, 'Block: size of the disk, a multiple of 512 bytes; without it 16MiB.'),
  ),
  image: z
    .string()
    .min(1)
    .optional()
    .describe('Block: a raw image file, relative to this profile; without it the disk is in memory.'),
  readOnly: z.boolean().optional().describe('Block: the device refuses to be written.'),
  serial: z
    .string()
    .max(MAX_SERIAL)
    .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII')
    .optional()
    .describe('Block: what the device calls itself: at most 20 ASCII characters.'),
  queues: z.int().min(1).max(MAX_QUEUES).optional().describe('Block: request queues, for BLK_MQ; without it 1.'),
  mac: z
    .string()
    .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'must be six bytes in hexadecimal, such as 52:54:00:12:34:56')
    .optional()
    .describe('Net: the address, in quotes; without it "52:54:00:12:34:56".'),
  queuePairs: z
    .int()
    .min(1)
    .max(MAX_QUEUE_PAIRS)
    .optional()
    .describe('Net: pairs of a receive and a transmit queue, for NET_MQ; without it 1.'),
  columns: z.int().min(1).max(0xffff).optional().describe('Console: characters in a row; without it 80.'),
  rows: z.int().min(1).max(0xffff).optional().describe('Console: rows; without it 25.'),
  ports: z.int().min(1).max(MAX_PORTS).optional().describe('Console: ports, for CONSOLE_MULTIPORT; without it 1.'),
  seed: z
    .int()
    .min(0)
    .max(0xffff_ffff)
    .optional()
    .describe('Entropy: makes the bytes the same in every run; without it they are random.'),
});

const driver = z.strictObject({
  privilege: z
    .enum(DRIVER_PRIVILEGES)
    .default('kernel')
    .describe('Who writes the descriptors: the kernel, or a process with or without an IOMMU that confines it.'),
  interface: z
    .enum(['modern', 'legacy'])
    .optional()
    .describe('Which interface the driver uses; modern, unless the device is legacy.'),
  buffers: z
    .enum(['premapped', 'streaming', 'coherent'])
    .default('premapped')
    .describe(
      'Map buffers once for all requests, or anew for each, or have them in memory that both sides see at once.',
    ),
  timeout: quantity(DURATION, { minimum: 1, maximum: MAX_TIMEOUT_MS })
    .prefault('5s')
    .meta(quantityForm(DURATION, 'How long no request may complete before the device counts as stalled: 5s.')),
  lacks: featureList('Features that this driver does not know, as an old one.').optional(),
  clears: featureList(
    'Features that the driver takes back at the end, as that of the balloon does with ACCESS_PLATFORM.',
  ).optional(),
  forces: featureList(
    'A hostile driver: writes exactly these features, whatever the rules say, and passes physical addresses.',
  ).optional(),
  sanitize: z
    .boolean()
    .default(false)
    .describe('Look for the mistakes that the driver makes with DMA, which real devices hide; much slower.'),
});

const queue = z.strictObject({
  layout: z.enum(['split', 'packed']).default('split').describe('The layout of the virtqueue.'),
  size: z
    .int()
    .min(1)
    .max(MAX_QUEUE_SIZE)
    .default(256)
    .describe('Entries of the virtqueue: on the split layout a power of two.'),
});

const interruption = z.strictObject({
  after: z.int().min(1).max(0x7fff_ffff).describe('Once so many requests were completed.'),
  do: z
    .enum(['reset-queues', 'suspend'])
    .describe(
      'reset-queues (needs RING_RESET): reset every queue, do again what was in flight. suspend (needs SUSPEND): suspend and resume the device.',
    ),
  size: z
    .int()
    .min(1)
    .max(MAX_QUEUE_SIZE)
    .optional()
    .describe('With reset-queues: how many entries the queues have from then on.'),
});

const workload = z.strictObject({
  kind: z
    .enum(['write-read-verify', 'read', 'echo', 'stream'])
    .describe(
      'What is done. Block: write a pattern, read it back, compare. Entropy: read. Net and console: echo or stream, send messages of one length or of all lengths up to it, and compare what comes back.',
    ),
  requests: z.int().min(1).max(0x7fff_ffff).describe('How many requests are made in all.'),
  depth: z.int().min(1).max(MAX_QUEUE_SIZE).describe('How many requests are in flight at once.'),
  blockSize: size({ minimum: 1 }).meta(
    quantityForm(SIZE, 'Bytes of each request: 4KiB. For a block device a multiple of 512 bytes.'),
  ),
  seed: z.int().min(0).max(0xffff_ffff).default(1).describe('Seed of the pattern and of the order of requests.'),
  interruptions: z
    .array(interruption)
    .max(1000)
    .default([])
    .describe('What is done to the device in the middle of it: [{ after: 500, do: reset-queues, size: 64 }].'),
});

const failureSchedule = z
  .strictObject({
    nth: z.array(z.int().min(1)).max(1000).exactOptional().describe('At these times, counted from 1.'),
    every: z.int().min(1).exactOptional().describe('Every so many times.'),
    rate: z.number().min(0).max(1).exactOptional().describe('At random, with this probability: 0.01.'),
    seed: z.int().min(1).max(0xffff_ffff).exactOptional().describe('Of the random numbers; without it 1.'),
  })
  .prefault({});

const failures = z.strictObject({
  map: failureSchedule.describe('Mappings of single buffers fail, as if there were no room: { every: 100 }.'),
  region: failureSchedule.describe('Regions fail: pools that are mapped once, rings, tables.'),
  withhold: failureSchedule.describe(
    'Mappings of buffers and pools are withheld: the device is told of an address at which nothing is mapped: { nth: [5] }.',
  ),
});

const expect = z.strictObject({
  accepted: featureList('Exactly the features that end as accepted.').exactOptional(),
  declined: featureList('Exactly the features that end as declined.').exactOptional(),
  path: z.enum(DMA_PATHS).exactOptional().describe('How a buffer’s address reaches the device.'),
  outcome: z.enum(['completed', 'refused', 'failed']).exactOptional().describe('How the run ends.'),
  refusal: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/, 'must be the code of a refusal, such as ENODEV')
    .exactOptional()
    .describe('The code of the refusal, such as ENODEV.'),
  failure: z
    .string()
    .regex(/^ERR_[A-Z_]+$/, 'must be the code of an error, such as ERR_DEVICE_NEEDS_RESET')
    .exactOptional()
    .describe('The code of the error that the run fails with.'),
  faults: z.int().min(0).exactOptional().describe('How many accesses of the device the platform stops.'),
  recorded: z
    .int()
    .min(0)
    .exactOptional()
    .describe('How many faults the IOMMU itself has in its registers at the end; without it none.'),
  findings: z
    .int()
    .min(0)
    .exactOptional()
    .describe('How many mistakes the DMA sanitizer finds; needs driver.sanitize.'),
  verified: z
    .boolean()
    .exactOptional()
    .describe('Whether the data of a completed run is right; false where a device silently drops some.'),
});

/** The schema of each value of each section. */
export const SECTION_FIELDS: Readonly<Record<SectionName, Readonly<Record<string, z.ZodType>>>> = {
  platform: platform.shape,
  machine: machine.shape,
  device: device.shape,
  driver: driver.shape,
  policy: POLICY_SECTION.shape,
  queue: queue.shape,
  workload: workload.shape,
  failures: failures.shape,
  expect: expect.shape,
};

const schema = z.strictObject({
  profile: z.string().min(1).max(100).describe('The name of the profile, as reports give it.'),
  summary: z.string().default('').describe('One sentence: what this profile shows.'),
  extends: z.string().min(1).optional().describe('Another profile to start from, relative to this one.'),
  matrix: z
    .unknown()
    .optional()
    .describe(
      'Makes several runs: every combination of the values of some paths, or one run for each part of a profile.',
    ),
  platform: platform.describe('The rules the driver lives under. Keys beside `use` are options of the plugin.'),
  machine: machine.describe('What is really underneath. Keys beside `use` and `memory` are options of the plugin.'),
  device: device.describe('The device the machine has.'),
  driver: driver.prefault({}).describe('The driver.'),
  policy: POLICY_SECTION.prefault({}).describe(
    'What was decided beforehand about the disputed questions of negotiation.',
  ),
  queue: queue.prefault({}).describe('The virtqueue.'),
  workload: workload.describe('What the driver does with the device.'),
  failures: failures.prefault({}).describe('What fails on purpose on the driver’s side.'),
  expect: expect.prefault({}).describe('What a run has to show; a run that differs fails.'),
});

/** A whole profile, after `extends` and `matrix` were resolved. */
export const PROFILE_SCHEMA: z.ZodType<CheckedProfile> = schema;

/** The keys that may stand at `path`, for suggestions. */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(schema.shape);
  const section = Object.entries(SECTION_FIELDS).find(([name]) => path.length === 1 && name === path[0]);
  return section === undefined ? [] : Object.keys(section[1]);
}

/** Whether a checked list of feature names has ACCESS_PLATFORM. */
export function namesAccessPlatform(features: readonly string[] | undefined): boolean {
  return features?.includes(featureName(VIRTIO_F_ACCESS_PLATFORM, '')) ?? false;
}

interface Limits {
  readonly minimum: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
}

function size(limits: Limits): z.ZodPipe<z.ZodUnknown, z.ZodTransform<number>> {
  return quantity(SIZE, limits);
}

/** Not `size().optional()`: a quantity takes anything, also nothing, and says itself what is wrong. */
function optionalSize(limits: Limits): z.ZodOptional<ReturnType<typeof size>> {
  return z.optional(size(limits));
}

function quantity(system: UnitSystem, limits: Limits): z.ZodPipe<z.ZodUnknown, z.ZodTransform<number>> {
  const { minimum, maximum = Number.MAX_SAFE_INTEGER, multipleOf = 1 } = limits;
  return z.unknown().transform((source, context) => {
    const quantity = parseQuantity(source, system);
    if (quantity.value === undefined) {
      const { message, suggestion } = quantity;
      context.addIssue({ code: 'custom', message, params: { suggestion }, input: source });
      return z.NEVER;
    }
    const { value } = quantity;
    const unit = Object.keys(system.units)[0];
    let message: string | undefined;
    if (value % multipleOf !== 0) message = `must be a multiple of ${multipleOf}${unit}`;
    else if (value < minimum) message = `must be at least ${minimum}${unit}`;
    else if (value > maximum) message = `must be at most ${maximum}${unit}`;
    if (message !== undefined) context.addIssue({ code: 'custom', message, input: source });
    return value;
  });
}

/** What an editor is told of a quantity: its schema is a function, which has no JSON form. */
function quantityForm(system: UnitSystem, description: string): z.GlobalMeta {
  const withUnit = { type: 'string', pattern: quantityPattern(system) };
  const forms = system.bare === undefined ? [withUnit] : [{ type: 'integer', minimum: 0 }, withUnit];
  return { description, anyOf: forms };
}

/** The schema of a list of features, which may be of any device type. */
export function featureList(description: string): z.ZodArray<z.ZodPipe<z.ZodString, z.ZodTransform<string, string>>> {
  const feature = z
    .string()
    .transform((name, context) => {
      const known = knownFeature(name);
      if (known !== undefined) return known;
      const short = name
        .toUpperCase()
        .replace(/^VIRTIO_/, '')
        .replace(/^(RING|BLK|NET|CONSOLE)_F_/, '$1_')
        .replace(/^F_/, '');
      const suggestion = closest(short, FEATURE_NAMES);
      context.addIssue({
        code: 'custom',
        message: 'must be a feature',
        params: { suggestion },
        input: name,
      });
      return z.NEVER;
    })
    .meta({
      description: 'A feature bit, in the spelling of the specification without VIRTIO_ and F_; BIT_n names any.',
      anyOf: [{ enum: FEATURE_NAMES }, { pattern: '^BIT_\\d{1,3}$' }],
    });
  return z.array(feature).max(128).describe(description);
}
