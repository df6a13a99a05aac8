import {
  featureBit,
  featureName,
  featureNames,
  VIRTIO_F_ACCESS_PLATFORM,
  type ExperimentalBits,
} from '@virtio-platform/core/features';
import { z } from 'zod';
import { closest } from '../source/suggestion.ts';
import type { DeviceSection, WorkloadSection } from './profile.ts';
/** The type of a device as profiles name it. */
export type DeviceType = DeviceSection['type'];

/** The device types a profile can name. */
export const DEVICE_TYPES: readonly [DeviceType, ...DeviceType[]] = ['block', 'net', 'console', 'entropy'];

/** The keys of the `device` section that only one type has. */
export const DEVICE_SETTINGS: Readonly<Record<DeviceType, readonly string[]>> = {
  block: ['capacity', 'image', 'readOnly', 'overwrite', 'serial', 'queues'],
  net: ['mac', 'queuePairs'],
  console: ['columns', 'rows', 'ports'],
  entropy: ['seed'],
};

/** The workloads of each type. */
export const DEVICE_WORKLOADS: Readonly<Record<DeviceType, readonly WorkloadSection['kind'][]>> = {
  block: ['write-read-verify'],
  net: ['echo', 'stream'],
  console: ['echo', 'stream'],
  entropy: ['read'],
};

/** The types whose driver makes a request again after a queue reset took it back. The others lose a message. */
export const REPEATABLE_TYPES: readonly DeviceType[] = ['block', 'entropy'];

/** For a look-up of the reserved feature bits, which mean the same for every device. */
const NO_TYPE = '';

/** The feature names of all device types, as profiles write them. */
export const FEATURE_NAMES: readonly string[] = [...new Set(DEVICE_TYPES.flatMap((type) => featureNames(type)))];

/**
 * Reads the name of a feature of any device type: the short name for a bit that means the same for all types, the name
 * itself for a feature of one type, `undefined` for any other word.
 */
function knownFeature(name: string): string | undefined {
  const bit = featureBit(name, NO_TYPE);
  if (bit !== undefined) return featureName(bit, NO_TYPE);
  return FEATURE_NAMES.includes(name) ? name : undefined;
}

/**
 * The feature bits of names that {@link featureList} read. The names of another device type have no bit and are left
 * out.
 */
export function featureBits(names: readonly string[], type: DeviceType, experimental: ExperimentalBits): number[] {
  return names.flatMap((name) => featureBit(name, type, experimental) ?? []);
}

/** The same names as the reports of a device of this type write them. */
export function reportedNames(names: readonly string[], type: DeviceType, experimental: ExperimentalBits): string[] {
  return featureBits(names, type, experimental).map((bit) => featureName(bit, type, experimental));
}

/** Whether a checked list of feature names has ACCESS_PLATFORM. */
export function namesAccessPlatform(features: readonly string[] | undefined): boolean {
  return features?.includes(featureName(VIRTIO_F_ACCESS_PLATFORM, NO_TYPE)) ?? false;
}

/** The schema of a list of feature names, which may be of any device type. */
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
