import { blockDescription } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { checkDeviceType, hiddenFeatures, identifyDevice } from '../src/device-identity.ts';
import { SoftwareFunction } from './register-file.ts';

function identity(vendor: number, device: number, subsystem = 0): ReturnType<typeof identifyDevice> {
  const pci = new SoftwareFunction(vendor, device);
  pci.config.poke(0x2e, 2, subsystem);
  return identifyDevice(pci);
}

describe('identifyDevice', () => {
  it.each([
    [0x1041, 1],
    [0x1042, 2],
    [0x1043, 3],
    [0x1044, 4],
    [0x1045, 5],
    [0x107f, 63],
  ])('identifies modern device %i as device type %i', (id, deviceId) => {
    expect(identity(0x1af4, id, 9)).toEqual({ deviceId, isTransitional: false });
  });

  it.each([
    [0x1000, 1],
    [0x1001, 2],
    [0x1005, 4],
    [0x103f, 18],
  ])('identifies transitional device %i by its subsystem id %i', (id, subsystem) => {
    expect(identity(0x1af4, id, subsystem)).toEqual({ deviceId: subsystem, isTransitional: true });
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

describe('checkDeviceType', () => {
  it.each([
    [1, 'network card'],
    [3, 'console'],
    [5, 'memory balloon'],
    [63, 'device 63'],
  ])('refuses device type %i where the profile has a block device, by name and number', (deviceId, name) => {
    const message = `0000:00:04.0 is a virtio ${name} (device type ${deviceId}), not block (device type 2)`;
    expect(() => checkDeviceType({ deviceId }, '0000:00:04.0', blockDescription())).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message, hint: expect.stringMatching(/./) }),
    );
  });

  it('lets the type of the profile pass', () => {
    expect(() => checkDeviceType({ deviceId: 2 }, '0000:00:04.0', blockDescription())).not.toThrow();
  });
});

describe('hiddenFeatures', () => {
  it('hides no feature where the profile lists none', () => {
    expect(hiddenFeatures(blockDescription(), 'pci').bits).toBe(0n);
  });

  it('hides the features that are not listed, of those that the interface can carry', () => {
    const hidden = hiddenFeatures(blockDescription({ offers: FeatureSet.of(1, VIRTIO_F_VERSION_1) }), 'pci');
    expect([0, 1, VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET].map((bit) => hidden.has(bit))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect([...hiddenFeatures(blockDescription({ offers: FeatureSet.of(1) }), 'legacy')]).toEqual(
      Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => bit !== 1),
    );
  });
});
