import {
  featureDependencies,
  FeatureSet,
  unmetDependency,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core';
import { describe, expect, it } from 'vitest';

describe('unmetDependency', () => {
  it('finds each dependency that is left out, with its source', () => {
    for (const dependency of featureDependencies('block')) {
      expect(unmetDependency(FeatureSet.of(dependency.feature), 'block')?.source).not.toHaveLength(0);
      expect(unmetDependency(FeatureSet.of(dependency.feature, dependency.requires), 'block')).toBeUndefined();
    }
  });

  it('knows ACCESS_PLATFORM to need VERSION_1', () => {
    expect(unmetDependency(FeatureSet.of(VIRTIO_F_ACCESS_PLATFORM), 'network')).toMatchObject({
      requires: VIRTIO_F_VERSION_1,
    });
  });

  it('applies the dependencies of a device type to that type only', () => {
    const set = FeatureSet.of(VIRTIO_BLK_F_CONFIG_WCE);
    expect(unmetDependency(set, 'block')).toMatchObject({ requires: VIRTIO_BLK_F_FLUSH });
    expect(unmetDependency(set, 'network')).toBeUndefined();
  });
});
