import { RESERVED_FEATURES, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from './feature-bit.ts';
import { EXPERIMENTAL_BITS, featureTables, type ExperimentalBits } from './feature-name.ts';
import type { FeatureTable } from './feature-rows.ts';
import type { FeatureSet } from './feature-set.ts';

/** One feature that may be accepted only together with another. Specification 1.4 section 2.2.1. */
export interface FeatureDependency {
  readonly feature: number;
  readonly requires: number;
  /** Serves as well as `requires`. */
  readonly alternative?: number;
  readonly source: string;
}

/** The dependencies of the reserved bits, of the experimental ones and of one device type. */
export function featureDependencies(
  ofType: FeatureTable,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): readonly FeatureDependency[] {
  return featureTables(ofType, experimental).flatMap(({ rows, source }) =>
    rows.flatMap(({ bit, requires = [] }) =>
      requires.map((entry) => {
        const [required, alternative] = typeof entry === 'number' ? [entry] : entry;
        return {
          feature: bit,
          requires: required!,
          ...(alternative === undefined ? {} : { alternative }),
          source: required === VIRTIO_F_VERSION_1 ? RESERVED_FEATURES.source : source,
        };
      }),
    ),
  );
}

/** The first dependency that `features` does not meet, or `undefined` when the set is closed. */
export function unmetDependency(
  features: FeatureSet,
  ofType: FeatureTable,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): FeatureDependency | undefined {
  return featureDependencies(ofType, experimental).find((dependency) => !meetsDependency(features, dependency));
}

/** Whether `features` lacks the feature, or has what it requires. */
export function meetsDependency(features: FeatureSet, dependency: FeatureDependency): boolean {
  const { feature, requires, alternative } = dependency;
  return !features.has(feature) || features.has(requires) || (alternative !== undefined && features.has(alternative));
}

/**
 * Whether a set has both ACCESS_PLATFORM (the platform translates) and no-translation (addresses are physical). The
 * driver and the device must each refuse it.
 */
export function isContradictory(features: FeatureSet, { noTranslation }: ExperimentalBits): boolean {
  return features.has(VIRTIO_F_ACCESS_PLATFORM) && features.has(noTranslation);
}
