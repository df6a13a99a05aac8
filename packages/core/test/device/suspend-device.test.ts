import { DeviceStatus, resetQueue, resumeDevice, suspendDevice } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_RESET, VIRTIO_F_SUSPEND, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { RegisterTransport } from '@virtio-platform/conformance/testing';

const OFFER = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_SUSPEND, VIRTIO_F_RING_RESET);
const RUNS = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk;

/** A device that takes `slow` status reads to do what SUSPEND and DRIVER_OK ask of it. */
class SuspendableTransport extends RegisterTransport {
  #slow: number;
  #left = 0;
  #wanted = 0;

  constructor(slow: number) {
    super({ offered: OFFER });
    this.#slow = slow;
    super.writeStatus(RUNS);
  }

  override writeStatus(status: number): void {
    const set = status & ~super.readStatus() & (DeviceStatus.Suspend | DeviceStatus.DriverOk);
    this.log.push(`status ${status}`);
    this.#wanted = set === DeviceStatus.Suspend ? status & ~DeviceStatus.DriverOk : status & ~DeviceStatus.Suspend;
    this.#left = this.#slow;
  }

  override readStatus(): number {
    if (this.#wanted !== 0 && this.#left-- <= 0) {
      super.writeStatus(this.#wanted);
      this.#wanted = 0;
    }
    return super.readStatus();
  }
}

describe('suspendDevice', () => {
  it('sets SUSPEND beside all that is set, and waits until the device cleared DRIVER_OK', () => {
    const transport = new SuspendableTransport(3);
    suspendDevice(transport);
    expect(transport.log).toContain(`status ${RUNS | DeviceStatus.Suspend}`);
    expect(transport.readStatus()).toBe((RUNS & ~DeviceStatus.DriverOk) | DeviceStatus.Suspend);
    resumeDevice(transport);
    expect(transport.readStatus()).toBe(RUNS);
  });

  it.each([
    ['suspended', suspendDevice],
    ['resumed', resumeDevice],
  ])('D45 gives up on a device that is never %s', (_what, move) => {
    const transport = new SuspendableTransport(Infinity);
    const timeout: unknown = expect.objectContaining({ code: 'ERR_DEVICE_SUSPEND_TIMEOUT' });
    if (move === resumeDevice) transport.deviceStatus = DeviceStatus.Suspend;
    expect(() => move(transport, 20)).toThrow(timeout);
  });

  it('says so when the device cannot: it needs a reset', () => {
    const transport = new SuspendableTransport(Infinity);
    transport.deviceStatus = DeviceStatus.NeedsReset;
    const needsReset: unknown = expect.objectContaining({ code: 'ERR_DEVICE_NEEDS_RESET' });
    expect(() => suspendDevice(transport, 1000)).toThrow(needsReset);
    expect(() => resumeDevice(transport, 1000)).toThrow(needsReset);
  });
});

describe('resetQueue', () => {
  it('asks once and waits until the device confirms', () => {
    const transport = new RegisterTransport({ offered: OFFER, slowQueueReset: 3 });
    resetQueue(transport, 1);
    expect(transport.log).toEqual(['reset queue 1']);
  });

  it('D45 V50 gives up on a queue whose reset never ends', () => {
    const transport = new RegisterTransport({ offered: OFFER, slowQueueReset: Infinity });
    expect(() => resetQueue(transport, 0, 20)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_RESET_TIMEOUT', message: expect.stringContaining('queue 0') }),
    );
  });
});
