import { DMA_PATHS } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { byteSize, failureSchedule } from '@virtio-platform/options';
import { z } from 'zod';
import { deviceSchema, type CheckedDevice } from './device-section.ts';
import { featureList, type DeviceVocabulary } from './device-vocabulary.ts';
import { driverSchema, type CheckedDriver } from './driver-section.ts';
import { POLICY_SECTION, type CheckedPolicy } from './policy-section.ts';
import type { Profile } from './profile.ts';
import { QUEUE_SECTION, workloadSchema, type CheckedWorkload } from './workload-section.ts';

/** The values of a profile as the schema gives them: merged, and with the defaults that hold for every device. */
export interface CheckedProfile extends Pick<Profile, 'summary' | 'queue' | 'failures' | 'expect'> {
  readonly profile: string;
  readonly platform: { readonly use: string };
  /** `memory` is in bytes. */
  readonly machine: { readonly use: string; readonly memory: number };
  readonly device: CheckedDevice;
  readonly driver: CheckedDriver;
  readonly policy: CheckedPolicy;
  readonly workload: CheckedWorkload;
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

const expectSchema = (vocabulary: DeviceVocabulary) =>
  z.strictObject({
    accepted: featureList('Exactly the features that end as accepted.', vocabulary).exactOptional(),
    declined: featureList('Exactly the features that end as declined.', vocabulary).exactOptional(),
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
    configChanges: z
      .int()
      .min(0)
      .exactOptional()
      .describe('How many configuration changes the device tells of; without it any number.'),
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

/** The sections of a profile, in the order in which they are checked. */
export const SECTIONS: readonly SectionName[] = [
  'platform',
  'machine',
  'device',
  'driver',
  'policy',
  'queue',
  'workload',
  'failures',
  'expect',
];

/** The schema of each section, by the device types that a profile is read with. */
export type SectionSchemas = Readonly<Record<SectionName, z.ZodObject<Record<string, z.ZodType>>>>;

const schemas = new WeakMap<DeviceVocabulary, SectionSchemas>();

/** The schemas of a vocabulary, made once. */
export function sectionSchemas(vocabulary: DeviceVocabulary): SectionSchemas {
  const known = schemas.get(vocabulary);
  if (known !== undefined) return known;
  const made: SectionSchemas = {
    platform,
    machine,
    device: deviceSchema(vocabulary),
    driver: driverSchema(vocabulary),
    policy: POLICY_SECTION,
    queue: QUEUE_SECTION,
    workload: workloadSchema(vocabulary),
    failures,
    expect: expectSchema(vocabulary),
  };
  schemas.set(vocabulary, made);
  return made;
}

/** A whole profile, after `extends` and `matrix` were resolved. */
export function profileSchema(vocabulary: DeviceVocabulary): z.ZodType {
  const sections = sectionSchemas(vocabulary);
  return z.strictObject({
    ...top,
    platform: sections.platform.describe(
      'The rules for the driver: device addresses, and the memory that the device can reach. Keys beside `use` are options of the plugin.',
    ),
    machine: sections.machine.describe(
      'The memory and the device that enforce the rules. Keys beside `use` and `memory` are options of the plugin.',
    ),
    device: sections.device.describe('The device the machine has. Keys beside those of every device are the type’s.'),
    driver: sections.driver.prefault({}).describe('The driver.'),
    policy: sections.policy.prefault({}).describe('Answers to the disputed questions of negotiation.'),
    queue: sections.queue.prefault({}).describe('The virtqueue.'),
    workload: sections.workload.describe('The requests that the driver makes.'),
    failures: sections.failures.prefault({}).describe('Failures on purpose, on the driver’s side.'),
    expect: sections.expect.prefault({}).describe('The expected outcome; a run that differs fails.'),
  });
}

const REQUIRED: readonly string[] = ['platform', 'machine', 'device', 'workload'] satisfies SectionName[];
const OPEN: readonly string[] = ['platform', 'machine', 'device', 'workload'] satisfies SectionName[];

/** Whether every profile has to have the section. */
export function isRequiredSection(section: string): boolean {
  return REQUIRED.includes(section);
}

/** Whether the section has keys that only a plugin knows. */
export function isOpenSection(section: string): boolean {
  return OPEN.includes(section);
}

/** The keys that may stand at `path`, for suggestions. */
export function knownKeys(path: readonly PropertyKey[], vocabulary: DeviceVocabulary): readonly string[] {
  if (path.length === 0) return [...Object.keys(TOP_FIELDS), ...SECTIONS];
  const section = SECTIONS.find((name) => path.length === 1 && name === path[0]);
  return section === undefined ? [] : Object.keys(sectionSchemas(vocabulary)[section].shape);
}
