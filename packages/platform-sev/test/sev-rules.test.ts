import {
  EXPERIMENTAL_BITS,
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { negotiate, type DriverPrivilege, type NegotiationResult } from '@virtio-platform/core/negotiation';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import { bootEncryptedGuest } from './encrypted-guest.ts';

const V1 = VIRTIO_F_VERSION_1;
const AP = VIRTIO_F_ACCESS_PLATFORM;

function negotiateSev(offered: readonly number[], privilege: DriverPrivilege = 'kernel'): NegotiationResult {
  const { traits, rules } = bootEncryptedGuest().platform;
  const all = FeatureSet.of(V1, AP, 28, 29);
  const legacy = !offered.includes(V1);
  return negotiate(
    {
      deviceFeatures: BLOCK_FEATURES,
      interface: legacy ? 'legacy' : 'modern',
      offered: FeatureSet.of(...offered),
      supported: all,
      carries: legacy ? new FeatureSet(0xffff_ffffn) : new FeatureSet((1n << 64n) - 1n),
      traits,
      privilege,
    },
    rules,
  );
}

describe('negotiation in an encrypted guest', () => {
  it('bounces for a device that offers VERSION_1 and ACCESS_PLATFORM', () => {
    const result = negotiateSev([V1, AP, 29]);
    expect(result.refusal).toBeUndefined();
    expect(result.path).toBe('bounced');
    expect([...result.accepted]).toEqual([29, V1, AP]);
  });

  it.each([
    ['a device without ACCESS_PLATFORM', [V1], 'kernel', 'ENODEV', 'restricted-memory-needs-access-platform'],
    ['a legacy device', [29], 'kernel', 'ENODEV', 'restricted-memory-needs-access-platform'],
    [
      'a device that offers only no-translation',
      [V1, EXPERIMENTAL_BITS.noTranslation],
      'kernel',
      'ENODEV',
      'restricted-memory-needs-access-platform',
    ],
    ['an unprivileged process', [V1, AP], 'process', 'ENOTSUP', 'restricted-guest-confines-nothing'],
    ['an unprivileged process without ACCESS_PLATFORM', [V1], 'process', 'EPERM', 'unprivileged-needs-isolation'],
    ['a process without an IOMMU', [V1, AP], 'process-noiommu', 'ENODEV', 'no-iommu-process-cannot-share-pages'],
  ] as const)('refuses %s', (_what, offered, privilege, code, rule) => {
    const result = negotiateSev(offered, privilege);
    expect(result.refusal).toMatchObject({ code, rule });
    expect(result.path).toBeUndefined();
  });
});
