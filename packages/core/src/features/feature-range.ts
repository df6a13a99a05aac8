/** Who gives a feature bit its meaning. */
export type FeatureRange = 'device type' | 'queue and negotiation' | 'future extensions';

/**
 * Finds the range of a feature bit, by specification 1.4 section 2.2. Bit 41 stands in two of its ranges; ADMIN_VQ (section 6)
 * is the one that is described.
 */
export function featureRange(bit: number): FeatureRange {
  if ((bit >= 24 && bit <= 41) || bit === 43) return 'queue and negotiation';
  return (bit >= 44 && bit <= 49) || bit >= 128 ? 'future extensions' : 'device type';
}
