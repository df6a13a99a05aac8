import type { DeviceTypePlugin } from '@virtio-platform/core';
import {
  featureBit,
  featureName,
  featureNames,
  NO_DEVICE_FEATURES,
  VIRTIO_F_ACCESS_PLATFORM,
  type ExperimentalBits,
  type FeatureTable,
} from '@virtio-platform/core/features';
import { z } from 'zod';
import { closest } from '../source/suggestion.ts';

/** The device types by which the words of one profile are read. */
export interface DeviceVocabulary {
  /** The type of its device; `undefined` where that could not be loaded. */
  readonly type: DeviceTypePlugin | undefined;
  /** Other types, whose features and workloads are told from words that have no meaning. */
  readonly others: readonly DeviceTypePlugin[];
  /** The type cannot be loaded: any word may be one of its own. */
  readonly isOpen?: boolean;
}

/** No device type is known: only the words that mean the same for all. */
export const NO_VOCABULARY: DeviceVocabulary = { type: undefined, others: [] };

/** The types of a vocabulary, that of the profile's device first. */
export function knownTypes({ type, others }: DeviceVocabulary): readonly DeviceTypePlugin[] {
  return type === undefined ? others : [type, ...others.filter((other) => other.name !== type.name)];
}

/** The feature names of a vocabulary, as profiles write them. */
export function knownFeatures(vocabulary: DeviceVocabulary): readonly string[] {
  const tables = [NO_DEVICE_FEATURES, ...knownTypes(vocabulary).map(({ features }) => features)];
  return [...new Set(tables.flatMap(featureNames))];
}

/** The names of the workloads of a vocabulary. */
export function knownWorkloads(vocabulary: DeviceVocabulary): readonly string[] {
  return [...new Set(knownTypes(vocabulary).flatMap(({ workloads }) => Object.keys(workloads)))];
}

/**
 * The feature bits of names that {@link featureList} read. The names of another device type have no bit and are left
 * out.
 */
export function featureBits(names: readonly string[], ofType: FeatureTable, experimental: ExperimentalBits): number[] {
  return names.flatMap((name) => featureBit(name, ofType, experimental) ?? []);
}

/** The same names as the reports of a device of this type write them. */
export function reportedNames(
  names: readonly string[],
  ofType: FeatureTable,
  experimental: ExperimentalBits,
): string[] {
  return featureBits(names, ofType, experimental).map((bit) => featureName(bit, ofType, experimental));
}

/** Whether a checked list of feature names has ACCESS_PLATFORM. */
export function namesAccessPlatform(features: readonly string[] | undefined): boolean {
  return features?.includes(featureName(VIRTIO_F_ACCESS_PLATFORM, NO_DEVICE_FEATURES)) ?? false;
}

/** A device of a type in a sentence: `a block device`. */
export function aDevice(type: string): string {
  return `${/^[aeiou]/i.test(type) ? 'an' : 'a'} ${type} device`;
}

/** The schema of a list of feature names, of any type of the vocabulary. */
export function featureList(
  description: string,
  vocabulary: DeviceVocabulary,
): z.ZodArray<z.ZodPipe<z.ZodString, z.ZodTransform<string, string>>> {
  const names = knownFeatures(vocabulary);
  const feature = z
    .string()
    .transform((name, context) => {
      // The reserved bits have a short name that means the same for all types.
      const bit = featureBit(name, NO_DEVICE_FEATURES);
      if (bit !== undefined) return featureName(bit, NO_DEVICE_FEATURES);
      if (names.includes(name) || vocabulary.isOpen === true) return name;
      const suggestion = closest(shortFeatureName(name), names);
      context.addIssue({ code: 'custom', message: 'must be a feature', params: { suggestion }, input: name });
      return z.NEVER;
    })
    .meta({
      description: 'A feature bit, in the spelling of the specification without VIRTIO_ and F_; BIT_n names any.',
      anyOf: [{ enum: names }, { pattern: '^BIT_\\d{1,3}$' }],
    });
  return z.array(feature).max(128).describe(description);
}

/** The name of a feature without the parts that profiles leave out: `VIRTIO_BLK_F_FLUSH` is BLK_FLUSH. */
export function shortFeatureName(name: string): string {
  return name
    .toUpperCase()
    .replace(/^VIRTIO_/, '')
    .replace(/^([A-Z0-9]+)_F_/, '$1_')
    .replace(/^F_/, '');
}
