import {
  EXPERIMENTAL_BITS,
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import {
  DRIVER_PRIVILEGES,
  negotiate,
  type DriverPrivilege,
  type NegotiationResult,
} from '@virtio-platform/core/negotiation';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import { startProcess } from './user-process.ts';

const V1 = VIRTIO_F_VERSION_1;
const AP = VIRTIO_F_ACCESS_PLATFORM;
const { noTranslation: NT, identityAddress: IDA } = EXPERIMENTAL_BITS;
const EVERYTHING = new FeatureSet((1n << 64n) - 1n);

function negotiateVfio(offered: readonly number[], privilege: DriverPrivilege): NegotiationResult {
  const { traits, rules } = startProcess().platform;
  return negotiate(
    {
      deviceFeatures: BLOCK_FEATURES,
      interface: offered.includes(V1) ? 'modern' : 'legacy',
      offered: FeatureSet.of(...offered),
      supported: EVERYTHING,
      carries: EVERYTHING,
      traits,
      privilege,
    },
    rules,
  );
}

describe('negotiation behind VFIO', () => {
  it('translates for a process whose device offers ACCESS_PLATFORM', () => {
    const result = negotiateVfio([V1, AP, 29], 'process');
    expect(result.refusal).toBeUndefined();
    expect(result.path).toBe('translated');
    expect([...result.accepted]).toEqual([29, V1, AP]);
  });

  it('declines identity-address, which a process cannot promise', () => {
    const result = negotiateVfio([V1, AP, IDA], 'process');
    expect(result.path).toBe('translated');
    expect([...result.accepted]).toEqual([V1, AP]);
  });

  it.each(DRIVER_PRIVILEGES)('refuses a device without ACCESS_PLATFORM to %s', (privilege) => {
    expect(negotiateVfio([V1], privilege).refusal?.code).toBe('EPERM');
    expect(negotiateVfio([29], privilege).refusal?.code).toBe('EPERM');
    expect(negotiateVfio([V1, NT], privilege).refusal?.code).toBe('EPERM');
  });

  it.each(DRIVER_PRIVILEGES)('refuses a device that offers no-translation to %s', (privilege) => {
    expect(negotiateVfio([V1, AP, NT], privilege).refusal?.code).toBe('EPERM');
  });

  it('refuses a process without an IOMMU, which this container is not for', () => {
    expect(negotiateVfio([V1, AP], 'process-noiommu').refusal).toMatchObject({
      code: 'EPERM',
      rule: 'no-iommu-mode-needs-no-iommu',
    });
  });

  it('refuses a driver in the kernel and says what to set', () => {
    expect(negotiateVfio([V1, AP], 'kernel').refusal).toMatchObject({
      code: 'EINVAL',
      rule: 'vfio-driver-is-a-process',
      change: { driver: 'driver.privilege: process' },
    });
  });
});
