import type { DeviceDescription } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { hiddenFeatures } from '../src/device-identity.ts';
function described(offers: FeatureSet | undefined): DeviceDescription {
  return { type: 'block', interface: 'modern', driverInterface: 'modern', offers, settings: {} };
}

describe('hiddenFeatures', () => {
  it('hides nothing of a device of which nothing is listed', () => {
    expect(hiddenFeatures(described(undefined), 'pci').bits).toBe(0n);
  });

  it('hides what is not listed, of what the interface can have', () => {
    const hidden = hiddenFeatures(described(FeatureSet.of(1, VIRTIO_F_VERSION_1)), 'pci');
    expect([0, 1, VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET].map((bit) => hidden.has(bit))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect([...hiddenFeatures(described(FeatureSet.of(1)), 'legacy')]).toEqual(
      Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => bit !== 1),
    );
  });
});
