import type { DeviceDescription } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { hiddenFeatures, identifyDevice } from '../src/device-identity.ts';
import { SoftwareFunction } from './register-file.ts';

function identity(vendor: number, device: number, subsystem = 0): ReturnType<typeof identifyDevice> {
  const pci = new SoftwareFunction(vendor, device);
  pci.config.poke(0x2e, 2, subsystem);
  return identifyDevice(pci);
}

describe('identifyDevice', () => {
  it.each([
    [0x1041, 'net'],
    [0x1042, 'block'],
    [0x1043, 'console'],
    [0x1044, 'entropy'],
    [0x1045, 'device 5'],
    [0x107f, 'device 63'],
  ])('identifies modern device %i as %s', (id, type) => {
    expect(identity(0x1af4, id, 9)).toEqual({ type, isTransitional: false });
  });

  it.each([
    [0x1000, 1, 'net'],
    [0x1001, 2, 'block'],
    [0x1005, 4, 'entropy'],
    [0x103f, 18, 'device 18'],
  ])('identifies transitional device %i by its subsystem id %i', (id, subsystem, type) => {
    expect(identity(0x1af4, id, subsystem)).toEqual({ type, isTransitional: true });
  });

  it.each([
    [0x8086, 0x1042, '8086:1042'],
    [0x1af4, 0x0fff, '1af4:0fff'],
    [0x1af4, 0x1080, '1af4:1080'],
    [0xffff, 0xffff, 'ffff:ffff'],
  ])('refuses %i:%i, which is not a virtio device', (vendor, device, text) => {
    expect(() => identity(vendor, device)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message: expect.stringContaining(text) }),
    );
  });
});

function described(offers: FeatureSet | undefined): DeviceDescription {
  return { type: 'block', interface: 'modern', driverInterface: 'modern', offers, settings: {} };
}

describe('hiddenFeatures', () => {
  it('hides no feature where the profile lists none', () => {
    expect(hiddenFeatures(described(undefined), 'pci').bits).toBe(0n);
  });

  it('hides the features that are not listed, of those that the interface can carry', () => {
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
