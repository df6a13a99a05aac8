import {
  BLOCK_FEATURES,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_ZONED,
} from '@virtio-platform/device-block';
import {
  EXPERIMENTAL_BITS,
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
} from '@virtio-platform/core/features';
import {
  CLOSED_STAGES,
  CORE_RULES,
  DEFAULT_POLICY,
  negotiate,
  NEGOTIATION_STAGES,
} from '@virtio-platform/core/negotiation';
import type { NegotiationInput, NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import { describe, expect, it } from 'vitest';

const { noTranslation: NT, identityAddress: IDA } = EXPERIMENTAL_BITS;
const MODERN = new FeatureSet((1n << 64n) - 1n);
const LEGACY = new FeatureSet((1n << 32n) - 1n);
const MODERN_OFFER = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_RING_F_EVENT_IDX);

const TRAITS: PlatformTraits = {
  restrictedMemory: false,
  isolates: true,
  mappedPath: 'translated',
  identityVerified: undefined,
  addressMeaning: 'an address that the platform chose',
};

function input(changes: Partial<NegotiationInput> = {}): NegotiationInput {
  return {
    deviceFeatures: BLOCK_FEATURES,
    interface: 'modern',
    offered: MODERN_OFFER,
    supported: MODERN,
    carries: MODERN,
    traits: TRAITS,
    privilege: 'kernel',
    ...changes,
  };
}

describe('negotiate', () => {
  it('accepts what is offered, supported and carried, and takes the path of the platform', () => {
    const result = negotiate(input(), []);
    expect(result.refusal).toBeUndefined();
    expect(result.accepted.equals(MODERN_OFFER)).toBe(true);
    expect(result.path).toBe('translated');
  });

  it('says why a driver half leaves a feature out on purpose, where the row of the type says it', () => {
    const offered = MODERN_OFFER.with(VIRTIO_BLK_F_ZONED).with(VIRTIO_BLK_F_FLUSH);
    const supported = MODERN_OFFER;
    const reasons = negotiate(input({ offered, supported }), []).decisions.map(({ name, reason }) => [name, reason]);
    expect(reasons).toContainEqual(['BLK_FLUSH', 'the driver does not support it']);
    expect(reasons).toContainEqual(['BLK_ZONED', expect.stringMatching(/^the driver does not support it: .*zones/)]);
  });

  it('refuses a process without an IOMMU that passes addresses which a narrow device does not take', () => {
    const narrow = {
      addressBits: 24,
      reachesMemory: false,
      traits: { ...TRAITS, isolates: false, mappedPath: 'identity' },
    } as const;
    const policy = { ...DEFAULT_POLICY, allowUnsafeNoIommu: true };
    const { refusal } = negotiate(input({ ...narrow, policy, privilege: 'process-noiommu' }), []);
    expect(refusal).toMatchObject({
      rule: 'narrow-device-needs-platform',
      change: { driver: 'driver.privilege: kernel', device: 'take more bits (device.dmaBits)' },
    });
    const translated = { ...narrow, traits: TRAITS };
    expect(negotiate(input({ ...translated, policy }), []).refusal).toBeUndefined();
  });

  it.each([
    ['modern', 'offer ACCESS_PLATFORM'],
    ['legacy', 'be modern (device.interface and driver.interface), and offer VERSION_1 and ACCESS_PLATFORM'],
  ] as const)('says to a %s device that is to offer a feature above 31: %s', (kind, device) => {
    const offered = kind === 'modern' ? FeatureSet.of(VIRTIO_F_VERSION_1) : FeatureSet.EMPTY;
    const restricted = { ...TRAITS, restrictedMemory: true };
    const carries = kind === 'modern' ? MODERN : LEGACY;
    const { refusal } = negotiate(input({ interface: kind, offered, carries, traits: restricted }), []);
    expect(refusal).toMatchObject({ rule: 'restricted-memory-needs-access-platform', change: { device } });
  });

  it.each([
    [undefined, 'driver.privilege: kernel'],
    [true, 'driver.privilege: process-noiommu'],
  ])('has a process whose device nothing confines change to what the platform has, processOnly %s: %s', (only, to) => {
    const traits = { ...TRAITS, isolates: false, ...(only && { processOnly: only }) };
    const { refusal } = negotiate(input({ traits, privilege: 'process' }), []);
    expect(refusal).toMatchObject({ rule: 'unprivileged-needs-isolation', change: { driver: to } });
  });

  it('gives every offered feature one outcome, with the rule and the source that decided it', () => {
    const offered = MODERN_OFFER.with(IDA).with(VIRTIO_F_RING_PACKED).with(VIRTIO_BLK_F_CONFIG_WCE);
    const result = negotiate(input({ offered, supported: MODERN.without(VIRTIO_F_RING_PACKED) }), []);
    expect(result.decisions.map(({ name, outcome, rule }) => [name, outcome, rule])).toEqual([
      ['BLK_CONFIG_WCE', 'declined', 'dependencies-closed'],
      ['RING_EVENT_IDX', 'accepted', 'accept-the-rest'],
      ['VERSION_1', 'accepted', 'accept-the-rest'],
      ['ACCESS_PLATFORM', 'accepted', 'access-platform-if-offered'],
      ['RING_PACKED', 'declined', 'driver-supports'],
      ['ACCESS_PLATFORM_IDENTITY_ADDRESS', 'declined', 'experimental-off'],
    ]);
    const sources = new Map(CORE_RULES.map(({ name, source }) => [name, source]));
    for (const { rule, source, reason } of result.decisions) {
      expect(source).toBe(sources.get(rule));
      expect(reason).not.toHaveLength(0);
    }
  });

  it('traces every rule in the order of the stages, the platform behind the core', () => {
    const open = NEGOTIATION_STAGES.filter((stage) => !CLOSED_STAGES.includes(stage));
    const rules = open.map((stage): NegotiationRule => ({
      name: `platform-${stage}`,
      source: 'test',
      stage,
      apply: (n) => n.note(stage),
    }));
    const ran = negotiate(input(), rules.toReversed()).trace.map(({ rule }) => rule);
    const expected = NEGOTIATION_STAGES.flatMap((stage) => [
      ...CORE_RULES.filter((rule) => rule.stage === stage).map(({ name }) => name),
      ...(open.some((name) => name === stage) ? [`platform-${stage}`] : []),
    ]);
    expect(ran).toEqual(expected);
  });

  it('lets no platform decide the path', () => {
    for (const stage of CLOSED_STAGES) {
      const meddles: NegotiationRule = { name: 'my-path', source: 'test', stage, apply: () => {} };
      expect(() => negotiate(input(), [meddles])).toThrow(/my-path/);
    }
  });

  it('runs nothing after a refusal, and then accepts nothing', () => {
    const refuses: NegotiationRule = {
      name: 'says-no',
      source: 'test',
      stage: 'assignment',
      apply: (negotiation) => negotiation.refuse('EPERM', 'because'),
    };
    const result = negotiate(input(), [refuses]);
    expect(result.refusal).toEqual({ code: 'EPERM', rule: 'says-no', source: 'test', reason: 'because', change: {} });
    expect(result.accepted.equals(FeatureSet.EMPTY)).toBe(true);
    expect(result.path).toBeUndefined();
    expect(result.trace.at(-1)).toMatchObject({ rule: 'says-no', says: ['refuses: because'] });
  });

  it('passes physical addresses to a device that does not offer ACCESS_PLATFORM, whatever the platform', () => {
    const offered = FeatureSet.of(VIRTIO_F_VERSION_1);
    expect(negotiate(input({ offered }), []).path).toBe('physical');
  });

  it('passes physical addresses on the legacy interface', () => {
    const offered = FeatureSet.of(VIRTIO_RING_F_EVENT_IDX);
    const result = negotiate(input({ interface: 'legacy', offered, carries: LEGACY }), []);
    expect(result.refusal).toBeUndefined();
    expect(result.path).toBe('physical');
  });

  const refusals: [string, Partial<NegotiationInput>, string, string][] = [
    ['A10 a modern device without VERSION_1', { offered: FeatureSet.EMPTY }, 'EINVAL', 'modern-needs-version-1'],
    [
      'a modern driver without VERSION_1',
      { supported: MODERN.without(VIRTIO_F_VERSION_1) },
      'EINVAL',
      'modern-needs-version-1',
    ],
    [
      'A4 a driver without ACCESS_PLATFORM',
      { supported: MODERN.without(VIRTIO_F_ACCESS_PLATFORM) },
      'ENODEV',
      'access-platform-if-offered',
    ],
    [
      'A5 ACCESS_PLATFORM on the legacy interface',
      { interface: 'legacy', carries: LEGACY },
      'ENODEV',
      'access-platform-if-offered',
    ],
    [
      'C2 restricted memory without ACCESS_PLATFORM',
      { offered: FeatureSet.of(VIRTIO_F_VERSION_1), traits: { ...TRAITS, restrictedMemory: true } },
      'ENODEV',
      'restricted-memory-needs-access-platform',
    ],
    [
      'C3 restricted memory on the legacy interface',
      {
        interface: 'legacy',
        carries: LEGACY,
        offered: FeatureSet.EMPTY,
        traits: { ...TRAITS, restrictedMemory: true },
      },
      'ENODEV',
      'restricted-memory-needs-access-platform',
    ],
    [
      'C11 restricted memory with no-translation only',
      {
        offered: FeatureSet.of(VIRTIO_F_VERSION_1, NT),
        traits: { ...TRAITS, restrictedMemory: true },
      },
      'ENODEV',
      'restricted-memory-needs-access-platform',
    ],
    [
      'I2 a process and a device that bypasses the IOMMU',
      { privilege: 'process', offered: FeatureSet.of(VIRTIO_F_VERSION_1) },
      'EPERM',
      'unprivileged-needs-isolation',
    ],
    [
      'a process and a platform that confines nothing',
      { privilege: 'process', traits: { ...TRAITS, isolates: false } },
      'EPERM',
      'unprivileged-needs-isolation',
    ],
    [
      'I6 a process and a device that offers no-translation',
      { privilege: 'process', offered: MODERN_OFFER.with(NT) },
      'EPERM',
      'unprivileged-never-untranslated',
    ],
    [
      'an identity that was never looked at',
      { traits: { ...TRAITS, mappedPath: 'identity', identityVerified: undefined } },
      'EINVAL',
      'path-follows-access-platform',
    ],
    [
      'an identity that the probe did not find',
      { traits: { ...TRAITS, mappedPath: 'identity', identityVerified: false } },
      'EINVAL',
      'path-follows-access-platform',
    ],
  ];

  it.each(refusals)('refuses %s', (_case, changes, code, rule) => {
    const result = negotiate(input(changes), []);
    expect(result.refusal).toMatchObject({ code, rule });
    expect(result.refusal?.source).toBe(CORE_RULES.find(({ name }) => name === rule)?.source);
  });

  it('refuses when a platform rule takes ACCESS_PLATFORM back after it was accepted', () => {
    const declines: NegotiationRule = {
      name: 'declines-late',
      source: 'test',
      stage: 'access',
      apply: (negotiation) => negotiation.decline(VIRTIO_F_ACCESS_PLATFORM, 'no'),
    };
    expect(negotiate(input(), [declines]).refusal).toMatchObject({
      code: 'ENODEV',
      rule: 'path-follows-access-platform',
    });
  });

  it('shows the reason of a driver half that declines what the core accepted', () => {
    const reason = 'its page numbers are never translated';
    const declines = [{ feature: VIRTIO_F_ACCESS_PLATFORM, reason }];
    const { decisions, refusal } = negotiate(input({ declines }), []);
    const decision = decisions.find(({ feature }) => feature === VIRTIO_F_ACCESS_PLATFORM);
    expect(decision).toMatchObject({ outcome: 'declined', rule: 'driver-half-declines', reason });
    expect(decision?.source).toContain('virtballoon_validate');
    expect(refusal).toMatchObject({ code: 'ENODEV', rule: 'path-follows-access-platform' });
  });

  it('names every stuck point of a dependency chain in the order it is found', () => {
    const offered = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_CONFIG_WCE);
    const result = negotiate(input({ offered, supported: MODERN.without(VIRTIO_BLK_F_FLUSH) }), []);
    expect(result.decisions.find(({ name }) => name === 'BLK_CONFIG_WCE')?.reason).toContain('BLK_FLUSH');
  });

  it('throws TypeError when a rule accepts what is not there to accept', () => {
    const accepts: NegotiationRule = {
      name: 'accepts-nothing',
      source: 'test',
      stage: 'access',
      apply: (negotiation) => negotiation.accept(99, 'why not'),
    };
    expect(() => negotiate(input(), [accepts])).toThrow(TypeError);
  });
});
