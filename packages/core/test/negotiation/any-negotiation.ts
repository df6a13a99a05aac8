import { DMA_PATHS } from '@virtio-platform/core/dma';
import { EXPERIMENTAL_BITS, FeatureSet, NO_DEVICE_FEATURES } from '@virtio-platform/core/features';
import {
  CLOSED_STAGES,
  DEFAULT_POLICY,
  NEGOTIATION_STAGES,
  type NegotiationInput,
  type NegotiationPolicy,
  type NegotiationRule,
  type PlatformTraits,
} from '@virtio-platform/core/negotiation';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { NET_FEATURES } from '@virtio-platform/device-net';
import * as fc from 'fast-check';

export const MODERN: FeatureSet = new FeatureSet((1n << 128n) - 1n);
export const LEGACY: FeatureSet = new FeatureSet((1n << 32n) - 1n);

/** Sets that hold the bits that matter often, and any others sometimes. */
export const anyFeatures: fc.Arbitrary<FeatureSet> = fc
  .tuple(
    fc.bigInt({ min: 0n, max: (1n << 70n) - 1n }),
    fc.subarray([9, 11, 28, 29, 30, 32, 33, 34, 36, 41, 44, 45, 47]),
    fc.boolean(),
  )
  .map(([any, known, sparse]) => {
    const chosen = FeatureSet.of(...known);
    return sparse ? chosen : new FeatureSet(any | chosen.bits);
  });

export const anyTraits: fc.Arbitrary<PlatformTraits> = fc.record({
  restrictedMemory: fc.boolean(),
  isolates: fc.boolean(),
  mappedPath: fc.constantFrom(...DMA_PATHS.filter((path) => path !== 'physical')),
  identityVerified: fc.constantFrom(true, false, undefined),
  addressMeaning: fc.constant('any'),
  reachesAllMemory: fc.boolean(),
  bounceIsPhysical: fc.boolean(),
  restrictedUnchecked: fc.boolean(),
  confinesEveryDevice: fc.boolean(),
  mapsUnflagged: fc.boolean(),
  interruptsExposed: fc.boolean(),
});

export const anyPolicy: fc.Arbitrary<NegotiationPolicy> = fc
  .record({
    experimental: fc.boolean(),
    strict: fc.boolean(),
    allowLegacy: fc.boolean(),
    allowUnflaggedBounce: fc.boolean(),
    noTranslationSatisfiesRestricted: fc.boolean(),
    hardenRing: fc.boolean(),
    allowUnsafeNoIommu: fc.boolean(),
    allowUnsafeInterrupts: fc.boolean(),
    probeUnflagged: fc.boolean(),
    bits: fc.constantFrom(EXPERIMENTAL_BITS, { noTranslation: 48, identityAddress: 47 }),
  })
  .map((policy) => ({ ...DEFAULT_POLICY, ...policy }));

export const anyInput: fc.Arbitrary<NegotiationInput> = fc.record({
  deviceFeatures: fc.constantFrom(BLOCK_FEATURES, NET_FEATURES, NO_DEVICE_FEATURES),
  interface: fc.constantFrom('modern', 'legacy'),
  offered: anyFeatures,
  supported: fc.oneof(anyFeatures, fc.constant(MODERN)),
  carries: fc.constantFrom(MODERN, LEGACY),
  traits: anyTraits,
  privilege: fc.constantFrom('kernel', 'process', 'process-noiommu'),
  policy: anyPolicy,
  clears: fc.oneof(fc.constant(FeatureSet.EMPTY), fc.constant(FeatureSet.of(33)), anyFeatures),
  declines: fc.array(fc.record({ feature: fc.constantFrom(28, 33, 34), reason: fc.constant('of a test') }), {
    maxLength: 2,
  }),
  addressBits: fc.constantFrom(undefined, 32, 64),
});

/** Platform rules that decline anything at any stage: whatever they do, the invariants hold. */
export const anyRules: fc.Arbitrary<readonly NegotiationRule[]> = fc.array(
  fc
    .record({
      stage: fc.constantFrom(...NEGOTIATION_STAGES.filter((stage) => !CLOSED_STAGES.includes(stage))),
      feature: fc.constantFrom(9, 11, 29, 32, 33, 34, 44, 45),
    })
    .map(({ stage, feature }): NegotiationRule => ({
      name: `declines-${feature}-at-${stage}`,
      source: 'test',
      stage,
      apply: (negotiation) => negotiation.decline(feature, 'test'),
    })),
  { maxLength: 3 },
);
