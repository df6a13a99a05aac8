import { DeviceStatus, initializeDevice } from '@virtio-platform/core/device';
import {
  featureDependencies,
  FeatureSet,
  featureRange,
  isContradictory,
  meetsDependency,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import {
  negotiate,
  type NegotiationInput,
  type NegotiationResult,
  type NegotiationRule,
} from '@virtio-platform/core/negotiation';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RegisterTransport } from '@virtio-platform/conformance/testing';
import { anyInput, anyRules } from './any-negotiation.ts';

/**
 * Addresses that a device without ACCESS_PLATFORM takes for what they are: slots of a bounce pool have physical ones.
 */
const PHYSICAL: readonly (string | undefined)[] = ['physical', 'bounced', 'identity'];

/** Runs a property over many inputs and platform rules; `body` sees the input, the outcome, and the rules. */
function assertAlways(
  body: (input: NegotiationInput, result: NegotiationResult, rules: readonly NegotiationRule[]) => void,
): void {
  fc.assert(
    fc.property(anyInput, anyRules, (input, rules) => body(input, negotiate(input, rules), rules)),
    { numRuns: 2000 },
  );
}

describe('negotiation, for any offer, traits and policy', () => {
  it('I0: accepts only what is offered, supported and carried, with what it requires', () => {
    assertAlways((input, { accepted }) => {
      expect(accepted.minus(input.offered.and(input.supported).and(input.carries)).bits).toBe(0n);
      for (const dependency of featureDependencies(input.deviceFeatures, input.policy!.bits))
        expect(meetsDependency(accepted, dependency)).toBe(true);
    });
  });

  it('decides every offered feature unless it refuses, and names the rule and its source', () => {
    assertAlways((input, { refusal, decisions }) => {
      const decided = FeatureSet.of(...decisions.map(({ feature }) => feature));
      expect(decided.minus(input.offered).bits).toBe(0n);
      if (refusal === undefined) expect(decided.equals(input.offered)).toBe(true);
      else expect([refusal.rule, refusal.source, refusal.reason].every((text) => text.length > 0)).toBe(true);
      for (const { source, reason } of decisions) expect(source.length * reason.length).toBeGreaterThan(0);
    });
  });

  it('P1: the path is a function of the accepted bits and the platform', () => {
    assertAlways((input, { refusal, accepted, path }) => {
      if (refusal !== undefined) {
        expect(path).toBeUndefined();
        return;
      }
      // Offering less, exactly what was accepted, changes nothing: no rule reads what was declined.
      const again = negotiate({ ...input, offered: accepted, clears: FeatureSet.EMPTY, declines: [] }, []);
      expect(again.refusal).toBeUndefined();
      expect(again.path).toBe(path);
      expect(again.accepted.equals(accepted)).toBe(true);
    });
  });

  it('P3: no address is made for another space than the one the device was bound to by its offer', () => {
    assertAlways((input, { refusal, path, accepted }) => {
      if (refusal !== undefined) return;
      const asksPlatform = input.offered.has(VIRTIO_F_ACCESS_PLATFORM);
      expect(accepted.has(VIRTIO_F_ACCESS_PLATFORM)).toBe(asksPlatform);
      if (!asksPlatform) expect(PHYSICAL).toContain(path);
      // Without anything to be asked, a process finds out physical addresses, and only where they are what the platform
      // gives.
      else if (input.privilege === 'process-noiommu') expect(path).toBe('physical');
      else expect(path).toBe(input.traits.mappedPath);
      if (path === 'identity') expect(input.traits.identityVerified).toBe(true);
      if (path === 'bounced' && !asksPlatform) expect(input.traits.bounceIsPhysical).toBe(true);
    });
  });

  it('P5: neither promise of identity is given without a probe that found it', () => {
    assertAlways((input, { accepted }) => {
      const { noTranslation, identityAddress } = input.policy!.bits;
      const { identityVerified, bounceIsPhysical, reachesAllMemory } = input.traits;
      if (accepted.has(noTranslation))
        expect(identityVerified === true || (input.traits.restrictedMemory && bounceIsPhysical === true)).toBe(true);
      if (accepted.has(identityAddress)) expect([identityVerified, reachesAllMemory]).toEqual([true, true]);
    });
  });

  it('P6: both meanings of an address are never accepted at once, and no experiment where it is off', () => {
    assertAlways((input, { accepted }) => {
      const { bits, experimental } = input.policy!;
      expect(isContradictory(accepted, bits)).toBe(false);
      const isExperimental = accepted.has(bits.noTranslation) || accepted.has(bits.identityAddress);
      if (isExperimental) expect(experimental).toBe(true);
      for (const feature of accepted) {
        if (featureRange(feature) === 'future extensions')
          expect([bits.noTranslation, bits.identityAddress]).toContain(feature);
      }
    });
  });

  it('P7: an unprivileged driver never gets untranslated addresses, nor a device that offers them', () => {
    assertAlways((input, { refusal, path, accepted }) => {
      if (input.privilege === 'kernel' || refusal !== undefined) return;
      const { noTranslation, identityAddress } = input.policy!.bits;
      expect(input.offered.has(noTranslation)).toBe(false);
      expect(accepted.has(identityAddress)).toBe(false);
      if (input.privilege === 'process') {
        expect(path).not.toBe('physical');
        expect(input.traits.isolates && input.offered.has(VIRTIO_F_ACCESS_PLATFORM)).toBe(true);
      } else expect(input.policy!.allowUnsafeNoIommu && !input.traits.restrictedMemory).toBe(true);
    });
  });

  it('P8: a driver that knows neither feature uses a device that offers no-translation as if it did not', () => {
    assertAlways((input, _result, rules) => {
      const { noTranslation, identityAddress } = input.policy!.bits;
      const old = {
        ...input,
        privilege: 'kernel' as const,
        supported: input.supported.without(noTranslation).without(identityAddress),
      };
      const offered = old.offered.without(noTranslation).without(identityAddress);
      const withBits = negotiate({ ...old, offered: offered.with(noTranslation) }, rules);
      const without = negotiate({ ...old, offered }, rules);
      expect(withBits.refusal?.code).toBe(without.refusal?.code);
      expect(withBits.path).toBe(without.path);
      expect(withBits.accepted.equals(without.accepted)).toBe(true);
    });
  });

  it('P11: a driver that takes ACCESS_PLATFORM back fails closed', () => {
    assertAlways((input, _result, rules) => {
      const clears = FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM);
      const offered = input.offered.with(VIRTIO_F_ACCESS_PLATFORM);
      expect(negotiate({ ...input, offered, clears }, rules).refusal).toBeDefined();
    });
  });

  it('P11: a driver half that declines ACCESS_PLATFORM fails as closed as a driver that clears it', () => {
    assertAlways((input, _result, rules) => {
      const offered = input.offered.with(VIRTIO_F_ACCESS_PLATFORM);
      const declines = [{ feature: VIRTIO_F_ACCESS_PLATFORM, reason: 'its page numbers are never translated' }];
      expect(negotiate({ ...input, offered, declines }, rules).refusal).toBeDefined();
      const without = input.offered.without(VIRTIO_F_ACCESS_PLATFORM);
      const [plain, declining] = [{ declines: [] }, { declines }].map((half) =>
        negotiate({ ...input, ...half, offered: without }, rules),
      );
      expect(declining!.accepted.equals(plain!.accepted)).toBe(true);
    });
  });

  it('accepts nothing that the driver half declines', () => {
    assertAlways(({ declines = [] }, { accepted }) => {
      for (const { feature } of declines) expect(accepted.has(feature)).toBe(false);
    });
  });

  it('never uses restricted memory without telling, but by a policy that says so', () => {
    assertAlways((input, { refusal, accepted }) => {
      if (!input.traits.restrictedMemory || refusal !== undefined) return;
      const { strict, allowUnflaggedBounce, noTranslationSatisfiesRestricted } = input.policy!;
      const isTold = accepted.has(VIRTIO_F_VERSION_1) && accepted.has(VIRTIO_F_ACCESS_PLATFORM);
      expect(isTold || !strict || allowUnflaggedBounce || noTranslationSatisfiesRestricted).toBe(true);
    });
  });

  it('ignores what it does not know: unknown bits change no outcome', () => {
    fc.assert(
      fc.property(anyInput, fc.subarray([30, 46, 49, 100, 126, 127]), (input, unknown) => {
        const supported = input.supported.minus(FeatureSet.of(100, 126, 127));
        const plain = { ...input, supported, offered: input.offered.minus(FeatureSet.of(30, 46, 49, 100, 126, 127)) };
        const known = negotiate(plain, []);
        const all = negotiate({ ...plain, offered: FeatureSet.of(...plain.offered, ...unknown) }, []);
        expect([all.refusal?.code, all.path]).toEqual([known.refusal?.code, known.path]);
        expect(all.accepted.equals(known.accepted)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a device that is negotiated with, for any offer, traits and policy', () => {
  it('P4: is FAILED after every refusal, and was told no features that were refused', () => {
    fc.assert(
      fc.property(anyInput, anyRules, (input, rules) => {
        const { offered, interface: deviceInterface } = input;
        const transport = new RegisterTransport({ offered, interface: deviceInterface });
        const { refusal } = initializeDevice(transport, { ...input, rules });
        expect((transport.readStatus() & DeviceStatus.Failed) !== 0).toBe(refusal !== undefined);
        if (refusal !== undefined) expect(transport.log.some((line) => line.startsWith('features'))).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('P12: gives the same result after a reset', () => {
    fc.assert(
      fc.property(anyInput, anyRules, (input, rules) => {
        const { offered, interface: deviceInterface } = input;
        const transport = new RegisterTransport({ offered, interface: deviceInterface });
        const first = initializeDevice(transport, { ...input, rules });
        expect(initializeDevice(transport, { ...input, rules })).toEqual(first);
      }),
      { numRuns: 500 },
    );
  });
});
