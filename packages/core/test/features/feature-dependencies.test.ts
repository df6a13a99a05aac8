import {
  NET_FEATURES,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_HASH_REPORT,
  VIRTIO_NET_F_HASH_TUNNEL,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_MQ,
} from '@virtio-platform/device-net';
import { BLOCK_FEATURES, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH } from '@virtio-platform/device-block';
import {
  featureDependencies,
  FeatureSet,
  NO_DEVICE_FEATURES,
  unmetDependency,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';

describe('unmetDependency', () => {
  it('finds each dependency that is left out, with its source', () => {
    for (const dependency of featureDependencies(BLOCK_FEATURES)) {
      expect(unmetDependency(FeatureSet.of(dependency.feature), BLOCK_FEATURES)?.source).not.toHaveLength(0);
      const met = featureDependencies(BLOCK_FEATURES)
        .filter(({ feature }) => feature === dependency.feature)
        .map(({ requires }) => requires);
      expect(
        unmetDependency(FeatureSet.of(dependency.feature, VIRTIO_F_VERSION_1, ...met), BLOCK_FEATURES),
      ).toBeUndefined();
    }
  });

  it('knows ACCESS_PLATFORM to need VERSION_1', () => {
    expect(unmetDependency(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM), NO_DEVICE_FEATURES)).toMatchObject({
      requires: VIRTIO_F_VERSION_1,
    });
  });

  it.each([VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6])('takes bit %d as one of two that HOST_ECN needs', (tso) => {
    const alone = FeatureSet.of(VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_ECN);
    expect(unmetDependency(alone, NET_FEATURES)).toMatchObject({ feature: VIRTIO_NET_F_HOST_ECN });
    expect(unmetDependency(alone.with(tso), NET_FEATURES)).toBeUndefined();
  });

  it.each([
    ['MQ', VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ],
    ['CTRL_RX', VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ],
    ['GUEST_TSO4', VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM],
  ])('does not take %s of a network device alone', (_name, feature, requires) => {
    expect(unmetDependency(FeatureSet.of(feature), NET_FEATURES)).toMatchObject({ feature, requires });
    expect(unmetDependency(FeatureSet.of(feature, requires), NET_FEATURES)).toBeUndefined();
  });

  it('asks for all of the several requirements of HASH_TUNNEL', () => {
    const set = FeatureSet.of(VIRTIO_NET_F_HASH_TUNNEL, VIRTIO_NET_F_CTRL_VQ);
    expect(unmetDependency(set, NET_FEATURES)).toMatchObject({ alternative: VIRTIO_NET_F_HASH_REPORT });
    expect(unmetDependency(set.with(VIRTIO_NET_F_HASH_REPORT), NET_FEATURES)).toBeUndefined();
  });

  it('applies the dependencies of a device type to that type only', () => {
    const set = FeatureSet.of(VIRTIO_BLK_F_CONFIG_WCE);
    expect(unmetDependency(set, BLOCK_FEATURES)).toMatchObject({ requires: VIRTIO_BLK_F_FLUSH });
    expect(unmetDependency(set, NO_DEVICE_FEATURES)).toBeUndefined();
  });
});
