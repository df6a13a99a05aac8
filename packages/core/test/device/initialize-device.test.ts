import { BLOCK_FEATURES, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH } from '@virtio-platform/device-block';
import {
  checkDevice,
  DeviceStatus,
  failDevice,
  initializeDevice,
  resetDevice,
  startDevice,
  statusNames,
  type InitializationOptions,
} from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
} from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { RegisterTransport } from '@virtio-platform/conformance/testing';

const OPTIONS: InitializationOptions = {
  deviceFeatures: BLOCK_FEATURES,
  supported: FeatureSet.of(
    VIRTIO_F_VERSION_1,
    VIRTIO_F_ACCESS_PLATFORM,
    VIRTIO_RING_F_EVENT_IDX,
    VIRTIO_BLK_F_FLUSH,
    VIRTIO_BLK_F_CONFIG_WCE,
  ),
  traits: {
    restrictedMemory: false,
    isolates: true,
    mappedPath: 'translated',
    identityVerified: undefined,
    addressMeaning: 'chosen by the platform',
  },
  rules: [],
  privilege: 'kernel',
};
const OFFER = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED);

/** A bug in a rule. */
function apply(): void {
  throw new TypeError('a bug in a rule');
}

describe('initializeDevice', () => {
  it('goes through the steps of section 3.1.1 in order', () => {
    const transport = new RegisterTransport({ offered: OFFER });
    const result = initializeDevice(transport, OPTIONS);
    startDevice(transport);
    expect(result.refusal).toBeUndefined();
    expect(transport.log).toEqual([
      'status 0',
      'status 1',
      'status 3',
      'features VERSION_1|ACCESS_PLATFORM',
      'status 11',
      'status 15',
    ]);
    expect(transport.driverFeatures.equals(result.accepted)).toBe(true);
  });

  it('leaves FEATURES_OK out on the legacy interface', () => {
    const transport = new RegisterTransport({ interface: 'legacy', offered: FeatureSet.of(VIRTIO_RING_F_EVENT_IDX) });
    expect(initializeDevice(transport, OPTIONS).refusal).toBeUndefined();
    startDevice(transport);
    expect(transport.log).toEqual(['status 0', 'status 1', 'status 3', 'features RING_EVENT_IDX', 'status 7']);
  });

  it('sets FAILED and names the rule when negotiation refuses, before any feature is written', () => {
    const transport = new RegisterTransport({ offered: FeatureSet.of(VIRTIO_RING_F_EVENT_IDX) });
    const result = initializeDevice(transport, OPTIONS);
    expect(result.refusal).toMatchObject({ code: 'EINVAL', rule: 'modern-needs-version-1' });
    expect(transport.log).toEqual(['status 0', 'status 1', 'status 3', 'status 131']);
  });

  it('sets FAILED when a platform rule throws, and lets the error through', () => {
    const transport = new RegisterTransport({ offered: OFFER });
    const rules = [{ name: 'buggy', source: 'test', stage: 'access', apply }] as const;
    expect(() => initializeDevice(transport, { ...OPTIONS, rules })).toThrow('a bug in a rule');
    expect(transport.log).toEqual(['status 0', 'status 1', 'status 3', 'status 131']);
  });

  it('reads FEATURES_OK back, and refuses and sets FAILED when the device cleared it', () => {
    const transport = new RegisterTransport({ offered: OFFER, demands: FeatureSet.of(VIRTIO_F_RING_PACKED) });
    const result = initializeDevice(transport, OPTIONS);
    expect(result.refusal).toMatchObject({ code: 'ENODEV', rule: 'features-ok-read-back' });
    expect(result.refusal?.reason).toContain('ACKNOWLEDGE|DRIVER');
    expect(result.accepted.equals(FeatureSet.EMPTY)).toBe(true);
    expect(result.path).toBeUndefined();
    expect(result.trace.at(-1)?.rule).toBe('features-ok-read-back');
    expect(transport.readStatus() & DeviceStatus.Failed).not.toBe(0);
    expect(transport.readStatus() & DeviceStatus.FeaturesOk).toBe(0);
  });

  it('refuses a set that a platform rule left without a dependency, and writes no feature', () => {
    const transport = new RegisterTransport({ offered: OFFER.with(VIRTIO_BLK_F_FLUSH).with(VIRTIO_BLK_F_CONFIG_WCE) });
    const result = initializeDevice(transport, {
      ...OPTIONS,
      rules: [
        { name: 'no-flush', source: 'test', stage: 'access', apply: (n) => n.decline(VIRTIO_BLK_F_FLUSH, 'test') },
      ],
    });
    expect(result.refusal).toMatchObject({ code: 'EINVAL', rule: 'accepted-set-is-valid' });
    expect(result.refusal?.reason).toContain('BLK_CONFIG_WCE');
    expect(transport.log.some((line) => line.startsWith('features'))).toBe(false);
    expect(transport.readStatus() & DeviceStatus.Failed).not.toBe(0);
  });

  it('waits for the reset to be confirmed before it goes on', () => {
    const transport = new RegisterTransport({ offered: OFFER, slowReset: 5 });
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Failed);
    expect(initializeDevice(transport, OPTIONS).refusal).toBeUndefined();
  });
});

describe('resetDevice', () => {
  it('D45 gives up in bounded time on a device that never confirms, and says what it saw', () => {
    const transport = new RegisterTransport({ offered: OFFER, slowReset: Infinity });
    transport.writeStatus(DeviceStatus.Acknowledge);
    const start = performance.now();
    expect(() => resetDevice(transport, 30)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_RESET_TIMEOUT', message: expect.stringContaining('ACKNOWLEDGE') }),
    );
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('checkDevice', () => {
  it('throws ERR_DEVICE_NEEDS_RESET once the device reports an error, and not before', () => {
    const transport = new RegisterTransport({ offered: OFFER });
    initializeDevice(transport, OPTIONS);
    checkDevice(transport);
    transport.deviceStatus = DeviceStatus.NeedsReset;
    expect(() => checkDevice(transport)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_NEEDS_RESET' }));
    resetDevice(transport, 30);
    checkDevice(transport);
  });
});

describe('failDevice', () => {
  it('adds FAILED and keeps the other bits', () => {
    const transport = new RegisterTransport({ offered: OFFER });
    initializeDevice(transport, OPTIONS);
    failDevice(transport);
    expect(statusNames(transport.readStatus())).toBe('ACKNOWLEDGE|DRIVER|FEATURES_OK|FAILED');
  });
});

describe('statusNames', () => {
  it('names no bits as a reset device', () => {
    expect(statusNames(0)).toBe('reset');
    expect(statusNames(0xcf)).toBe('ACKNOWLEDGE|DRIVER|FEATURES_OK|DRIVER_OK|DEVICE_NEEDS_RESET|FAILED');
  });
});
