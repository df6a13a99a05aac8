import { DMA_PATHS } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { byteSize, failureSchedule } from '@virtio-platform/options';
import { z } from 'zod';
import { DEVICE_SECTION, type CheckedDevice } from './device-section.ts';
import { featureList } from './device-types.ts';
import { DRIVER_SECTION, type CheckedDriver } from './driver-section.ts';
import { POLICY_SECTION, type CheckedPolicy } from './policy-section.ts';
import type { Profile } from './profile.ts';
import { QUEUE_SECTION, WORKLOAD_SECTION } from './workload-section.ts';

/** The values of a profile as the schema gives them: merged, and with the defaults that hold for every device. */
export interface CheckedProfile extends Pick<Profile, 'summary' | 'queue' | 'workload' | 'failures' | 'expect'> {
  readonly profile: string;
  readonly platform: { readonly use: string };
  /** `memory` is in bytes. */
  readonly machine: { readonly use: string; readonly memory: number };
  readonly device: CheckedDevice;
  readonly driver: CheckedDriver;
  readonly policy: CheckedPolicy;
}

/** The sections of a profile. */
export type SectionName = Exclude<keyof CheckedProfile, 'profile' | 'summary'>;

/** Keys of the release before this one, with the names that they have now. */
export const RENAMED_KEYS: Readonly<Record<string, string>> = {
  'workload.interruptions': 'workload.disruptions',
  'failures.withhold': 'failures.wrongAddress',
};

const platform = z.looseObject({
  use: z.string().min(1).describe('The platform plugin: the name of its package, or a path that starts with ./ or ../'),
});

const machine = z.looseObject({
  use: z.string().min(1).describe('The machine plugin: the name of its package, or a path that starts with ./ or ../'),
  memory: byteSize({ multipleOf: PAGE_SIZE, minimum: 2 * PAGE_SIZE }).describe('Guest memory: 64MiB.'),
});

const failures = z.strictObject({
  map: failureSchedule.describe('Mappings of single buffers fail as in a full pool or window: { every: 100 }.'),
  region: failureSchedule.describe('Mappings of regions fail: pools that are mapped once, rings, tables.'),
  wrongAddress: failureSchedule.describe(
    'The descriptors of mapped buffers and pools hold an address at which nothing is mapped: { nth: [5] }.',
  ),
});

const expect = z.strictObject({
  accepted: featureList('Exactly the features that end as accepted.').exactOptional(),
  declined: featureList('Exactly the features that end as declined.').exactOptional(),
  path: z.enum(DMA_PATHS).exactOptional().describe('How a buffer’s address reaches the device.'),
  queue: z
    .literal('any')
    .exactOptional()
    .describe('any: the queue may have another layout or size than the profile asks for.'),
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
  leaked: z
    .int()
    .min(0)
    .exactOptional()
    .describe('How many things the platform cannot take back from the device; without it none.'),
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

const top = {
  profile: z.string().min(1).max(100).describe('The name of the profile, as reports give it.'),
  summary: z.string().default('').describe('One sentence: what this profile shows.'),
  extends: z.string().min(1).optional().describe('Another profile to start from, relative to this one.'),
  matrix: z
    .unknown()
    .optional()
    .describe(
      'Makes several runs: every combination of the values of some paths, or one run for each part of a profile.',
    ),
};

/** The schema of each value that stands in no section. */
export const TOP_FIELDS: Readonly<Record<string, z.ZodType>> = top;

/** The schema of each value of each section. */
export const SECTION_FIELDS: Readonly<Record<SectionName, Readonly<Record<string, z.ZodType>>>> = {
  platform: platform.shape,
  machine: machine.shape,
  device: DEVICE_SECTION.shape,
  driver: DRIVER_SECTION.shape,
  policy: POLICY_SECTION.shape,
  queue: QUEUE_SECTION.shape,
  workload: WORKLOAD_SECTION.shape,
  failures: failures.shape,
  expect: expect.shape,
};

/** A whole profile, after `extends` and `matrix` were resolved. */
export const PROFILE_SCHEMA: z.ZodType<CheckedProfile> = z.strictObject({
  ...top,
  platform: platform.describe(
    'The rules for the driver: device addresses, and the memory that the device can reach. Keys beside `use` are options of the plugin.',
  ),
  machine: machine.describe(
    'The memory and the device that enforce the rules. Keys beside `use` and `memory` are options of the plugin.',
  ),
  device: DEVICE_SECTION.describe('The device the machine has.'),
  driver: DRIVER_SECTION.prefault({}).describe('The driver.'),
  policy: POLICY_SECTION.prefault({}).describe('Answers to the disputed questions of negotiation.'),
  queue: QUEUE_SECTION.prefault({}).describe('The virtqueue.'),
  workload: WORKLOAD_SECTION.describe('The requests that the driver makes.'),
  failures: failures.prefault({}).describe('Failures on purpose, on the driver’s side.'),
  expect: expect.prefault({}).describe('The expected outcome; a run that differs fails.'),
});

const REQUIRED: readonly string[] = ['platform', 'machine', 'device', 'workload'] satisfies SectionName[];
const OPEN: readonly string[] = ['platform', 'machine'] satisfies SectionName[];

/** Whether every profile has to have the section. */
export function isRequiredSection(section: string): boolean {
  return REQUIRED.includes(section);
}

/** Whether the section has keys that only the plugin it names knows. */
export function isOpenSection(section: string): boolean {
  return OPEN.includes(section);
}

/** The keys that may stand at `path`, for suggestions. */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  const sections = Object.entries(SECTION_FIELDS);
  if (path.length === 0) return [...Object.keys(TOP_FIELDS), ...sections.map(([name]) => name)];
  const section = sections.find(([name]) => path.length === 1 && name === path[0]);
  return section === undefined ? [] : Object.keys(section[1]);
}
