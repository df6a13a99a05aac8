import { acceptFeatures, ringFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import { DeviceStatus } from '@virtio-platform/core/device';
import { VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_NOTIFICATION_DATA } from '@virtio-platform/core/features';
import { openVirtqueue, ScatterList, type QueueLayout } from '@virtio-platform/core/queue';
import entropy from '@virtio-platform/device-entropy';
import { InProcessTransport, type SimulatedDevice } from '@virtio-platform/machine-simulated';
import { describe, expect, it } from 'vitest';
import { openSimulatedDevice } from './open-simulated-device.ts';

/** An entropy device whose queue is enabled with these features, and one request to be told of. */
function deviceWithRequest(
  layout: QueueLayout,
  ...features: number[]
): { device: SimulatedDevice; notify: () => void } {
  const bits = ringFeatures(layout, ...features);
  const { memory, mapping, device } = openSimulatedDevice(entropy.model({ seed: 1 }, 'little'), bits);
  const transport = new InProcessTransport(device, entropy.id, 'modern', bits);
  acceptFeatures(transport, bits);
  const queue = openVirtqueue(layout, memory, mapping, ringOptions({ size: 4 }));
  transport.enableQueue(0, queue.addresses);
  transport.writeStatus(transport.readStatus() | DeviceStatus.DriverOk);
  return {
    device,
    notify() {
      const list = new ScatterList(1);
      list.addWritable(0x8000, 16);
      queue.add(list);
      queue.publish();
      transport.notify(queue.index, queue.nextAvailable);
    },
  };
}

describe('what a driver notifies with', () => {
  it.each(['split', 'packed'] as const)('is the index of the queue without either feature: %s', (layout) => {
    const { device, notify } = deviceWithRequest(layout);
    expect(device.lastNotification).toBe(-1);
    notify();
    expect(device.lastNotification).toBe(0);
  });

  it('has the available index of a split ring above the index of the queue', () => {
    const { device, notify } = deviceWithRequest('split', VIRTIO_F_NOTIFICATION_DATA);
    notify();
    notify();
    expect(device.lastNotification).toBe(0x0002_0000);
  });

  it('has slot and wrap counter of a packed ring above the name that the device chose', () => {
    const both = [VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_NOTIF_CONFIG_DATA];
    const { device, notify } = deviceWithRequest('packed', ...both);
    notify();
    const name = device.notificationIdentity(0);
    expect(name).not.toBe(0);
    expect(device.lastNotification).toBe(0x8001_0000 + name);
  });

  it('V35 is ignored where it names no queue, or says more than was negotiated', () => {
    for (const features of [[], [VIRTIO_F_NOTIFICATION_DATA], [VIRTIO_F_NOTIF_CONFIG_DATA]]) {
      const { device, notify } = deviceWithRequest('split', ...features);
      const names = features.includes(VIRTIO_F_NOTIF_CONFIG_DATA) ? [0, 1] : [1, device.notificationIdentity(0) + 1];
      const tooMuch = features.length === 0 ? [0x1_0000, 0x8000_0000] : [];
      for (const value of [...names, ...tooMuch, -1, 0xffff]) {
        device.notify(value);
        expect(device.takeNotification()).toBe(false);
      }
      notify();
      expect(device.takeNotification()).toBe(true);
    }
  });
});
