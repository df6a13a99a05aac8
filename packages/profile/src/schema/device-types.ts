import { featureBit, featureName, featureNames, type ExperimentalBits } from '@virtio-platform/core/features';
import type { DeviceSection, WorkloadSection } from './profile.ts';
export type DeviceType = DeviceSection['type'];

/** The device types a profile can name. */
export const DEVICE_TYPES: readonly [DeviceType, ...DeviceType[]] = ['block', 'net', 'console', 'entropy'];

/** Which keys of the `device` section belong to which type, besides those that all have. */
export const DEVICE_SETTINGS: Readonly<Record<DeviceType, readonly string[]>> = {
  block: ['capacity', 'image', 'readOnly', 'serial', 'queues'],
  net: ['mac', 'queuePairs'],
  console: ['columns', 'rows', 'ports'],
  entropy: ['seed'],
};

/** What can be done with a device of each type. */
export const DEVICE_WORKLOADS: Readonly<Record<DeviceType, readonly WorkloadSection['kind'][]>> = {
  block: ['write-read-verify'],
  net: ['echo', 'stream'],
  console: ['echo', 'stream'],
  entropy: ['read'],
};

/** The types whose requests can be done again after a queue reset took them back; a message of the others is lost. */
export const REPEATABLE_TYPES: readonly DeviceType[] = ['block', 'entropy'];

/** Knows the reserved feature bits, which mean the same for every device. */
const NO_TYPE = '';

/** Every feature name a profile may use, of whatever device type. */
export const FEATURE_NAMES: readonly string[] = [...new Set(DEVICE_TYPES.flatMap((type) => featureNames(type)))];

/** Reads a feature name that may be of any device type: the short name where all types agree on it; `undefined` for no name at all. */
export function knownFeature(name: string): string | undefined {
  const bit = featureBit(name, NO_TYPE);
  if (bit !== undefined) return featureName(bit, NO_TYPE);
  return FEATURE_NAMES.includes(name) ? name : undefined;
}

/** The bits of names that {@link knownFeature} read, of which those of another type have none. */
export function featureBits(names: readonly string[], type: DeviceType, experimental: ExperimentalBits): number[] {
  return names.flatMap((name) => featureBit(name, type, experimental) ?? []);
}

/** The same names as reports of a device of this type write them. */
export function reportedNames(names: readonly string[], type: DeviceType, experimental: ExperimentalBits): string[] {
  return featureBits(names, type, experimental).map((bit) => featureName(bit, type, experimental));
}
