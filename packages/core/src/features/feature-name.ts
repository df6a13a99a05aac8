import { RESERVED_FEATURES, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from './feature-bit.ts';
import type { FeatureRow, FeatureTable } from './feature-rows.ts';

/** The table of a device type without features of its own, or of one that is not known. */
export const NO_DEVICE_FEATURES: FeatureTable = { source: 'virtio 1.4 §2.2', rows: [] };

/**
 * The numbers on which both sides agreed for the two features that were proposed in 2019 and never standardised:
 * - ACCESS_PLATFORM_NO_TRANSLATION (mail: Bauermann, 2019-04-17): the device uses physical addresses, and it is an
 *   error to set it together with ACCESS_PLATFORM;
 * - ACCESS_PLATFORM_IDENTITY_ADDRESS (mail: Tsirkin, 2019-07-01): only together with ACCESS_PLATFORM, a promise of the
 *   guest that every device address is the physical one, verified before FEATURES_OK and kept until reset.
 */
export interface ExperimentalBits {
  readonly noTranslation: number;
  readonly identityAddress: number;
}

/** No number was ever assigned. Specification 1.4 section 2.2 reserves the range of these for future extensions. */
export const EXPERIMENTAL_BITS: ExperimentalBits = { noTranslation: 44, identityAddress: 45 };

/** All rows for one device type, in order of precedence: experimental bits, reserved bits, those of the type. */
export function featureTables(
  ofType: FeatureTable,
  { noTranslation, identityAddress }: ExperimentalBits = EXPERIMENTAL_BITS,
): readonly FeatureTable[] {
  const experimental = {
    source: 'mail: Tsirkin, 2019-07-01 (always negotiated together with ACCESS_PLATFORM)',
    rows: [
      { bit: noTranslation, name: 'ACCESS_PLATFORM_NO_TRANSLATION', requires: [VIRTIO_F_VERSION_1] },
      {
        bit: identityAddress,
        name: 'ACCESS_PLATFORM_IDENTITY_ADDRESS',
        requires: [VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM],
      },
    ],
  };
  return [experimental, RESERVED_FEATURES, ofType];
}

/** Names a feature bit as profiles and reports write it. A bit without a row of `ofType` is `BIT_<n>`. */
export function featureName(
  bit: number,
  ofType: FeatureTable,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): string {
  return rowsOf(ofType, experimental).find((row) => row.bit === bit)?.name ?? `BIT_${bit}`;
}

/** Finds the bit of a name in a profile, or `undefined`. `BIT_<n>` names any bit from 0 to 127. */
export function featureBit(
  name: string,
  ofType: FeatureTable,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): number | undefined {
  const row = rowsOf(ofType, experimental).find((candidate) => candidate.name === name);
  if (row !== undefined) return row.bit;
  const numbered = /^BIT_(\d{1,3})$/.exec(name);
  const bit = numbered === null ? NaN : Number(numbered[1]);
  return bit <= 127 ? bit : undefined;
}

/** Every name that a profile may write for a device of this type, in bit order. */
export function featureNames(ofType: FeatureTable): string[] {
  return rowsOf(ofType, EXPERIMENTAL_BITS)
    .toSorted((a, b) => a.bit - b.bit)
    .map(({ name }) => name);
}

function rowsOf(ofType: FeatureTable, experimental: ExperimentalBits): readonly FeatureRow[] {
  return featureTables(ofType, experimental).flatMap(({ rows }) => rows);
}
