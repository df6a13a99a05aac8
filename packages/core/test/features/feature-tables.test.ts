import {
  EXPERIMENTAL_BITS,
  featureBit,
  featureDependencies,
  featureName,
  featureRange,
  FeatureSet,
  isContradictory,
  TRANSPORT_KINDS,
  RESERVED_FEATURES,
  transportCarries,
  unmetDependency,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';

describe('the ranges of feature bits', () => {
  it.each([
    [0, 'device type'],
    [23, 'device type'],
    [24, 'queue and negotiation'],
    [41, 'queue and negotiation'],
    [42, 'device type'],
    [43, 'queue and negotiation'],
    [44, 'future extensions'],
    [49, 'future extensions'],
    [50, 'device type'],
    [127, 'device type'],
    [128, 'future extensions'],
  ])('have bit %d in that of: %s', (bit, range) => {
    expect(featureRange(bit)).toBe(range);
  });

  it('keep the experimental features where nothing is described', () => {
    for (const bit of Object.values(EXPERIMENTAL_BITS)) expect(featureRange(bit)).toBe('future extensions');
  });
});

describe('what transports carry', () => {
  it('is everything on PCI, and 32 bits on the legacy interface', () => {
    expect(transportCarries('pci').bits).toBe((1n << 128n) - 1n);
    expect(transportCarries('legacy').bits).toBe(0xffff_ffffn);
  });

  it.each([
    ['mmio', [VIRTIO_F_SR_IOV, VIRTIO_F_ADMIN_VQ]],
    ['channel-io', [VIRTIO_F_SR_IOV, VIRTIO_F_RING_RESET, VIRTIO_F_ADMIN_VQ]],
  ] as const)('lacks on %s what the specification reserves there', (transport, lacking) => {
    const all = new FeatureSet((1n << 128n) - 1n);
    expect([...all.minus(transportCarries(transport))]).toEqual(lacking);
  });

  it('has a source for each feature that one lacks', () => {
    const absences = RESERVED_FEATURES.rows.flatMap(({ absentOn = {} }) => Object.entries(absentOn));
    expect(absences).toHaveLength(5);
    for (const [transport, source] of absences) {
      expect(TRANSPORT_KINDS).toContain(transport);
      expect(source).toMatch(/^virtio 1\.4 §/);
    }
  });
});

describe('the experimental features', () => {
  const moved = { noTranslation: 48, identityAddress: 49 };

  it('have the names of their mails at whatever numbers', () => {
    expect(featureName(48, 'block', moved)).toBe('ACCESS_PLATFORM_NO_TRANSLATION');
    expect(featureBit('ACCESS_PLATFORM_IDENTITY_ADDRESS', 'block', moved)).toBe(49);
    expect(featureName(44, 'block', moved)).toBe('BIT_44');
  });

  it('need VERSION_1, and identity-address also ACCESS_PLATFORM', () => {
    const needs = (feature: number): number[] =>
      featureDependencies('block', moved)
        .filter((dependency) => dependency.feature === feature)
        .map(({ requires }) => requires);
    expect(needs(48)).toEqual([VIRTIO_F_VERSION_1]);
    expect(needs(49)).toEqual([VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM]);
    expect(unmetDependency(FeatureSet.of(VIRTIO_F_VERSION_1, 49), 'block', moved)?.source).toContain('2019-07-01');
    expect(unmetDependency(FeatureSet.of(VIRTIO_F_VERSION_1, 48), 'block', moved)).toBeUndefined();
  });

  it('contradict ACCESS_PLATFORM where they deny it', () => {
    expect(isContradictory(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM, 48), moved)).toBe(true);
    expect(isContradictory(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM, 49), moved)).toBe(false);
    expect(isContradictory(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM, 44), moved)).toBe(false);
  });
});
