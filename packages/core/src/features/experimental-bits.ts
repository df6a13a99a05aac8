import { VIRTIO_F_ACCESS_PLATFORM } from './feature-bit.ts';
import type { FeatureSet } from './feature-set.ts';

/**
 * The numbers that both sides agreed on for the two features proposed in 2019 and never standardised:
 * - ACCESS_PLATFORM_NO_TRANSLATION (mail: Bauermann, 2019-04-17): the device uses physical addresses, and it is an error to
 *   set it together with ACCESS_PLATFORM;
 * - ACCESS_PLATFORM_IDENTITY_ADDRESS (mail: Tsirkin, 2019-07-01): only together with ACCESS_PLATFORM, a promise of the guest
 *   that every device address is the physical one, verified before FEATURES_OK and kept until reset.
 */
export interface ExperimentalBits {
  readonly noTranslation: number;
  readonly identityAddress: number;
}

/** No number was ever assigned; these are in the range that specification 1.4 section 2.2 reserves for future extensions. */
export const EXPERIMENTAL_BITS: ExperimentalBits = { noTranslation: 44, identityAddress: 45 };

/** Whether a set says both that the platform translates and that nothing is translated. Either side must refuse it. */
export function isContradictory(features: FeatureSet, { noTranslation }: ExperimentalBits): boolean {
  return features.has(VIRTIO_F_ACCESS_PLATFORM) && features.has(noTranslation);
}
