import { DeviceError } from '@virtio-platform/core';
import type { DeviceInterface, Transport, WaitResult } from '@virtio-platform/core/device';
import { VIRTIO_F_NOTIFICATION_DATA, type FeatureSet } from '@virtio-platform/core/features';
import { legacyAddresses, notificationValue, type QueueAddresses } from '@virtio-platform/core/queue';
import type { SimulatedDevice } from './simulated-device.ts';

/** Calls the device in the driver's own thread: a notification returns when the device has nothing left to do. */
export class InProcessTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceType: string;
  readonly carries: FeatureSet;
  readonly queueCount: number;
  readonly #simulated: SimulatedDevice;
  #notifiesWithData = false;

  constructor(device: SimulatedDevice, deviceInterface: DeviceInterface, carries: FeatureSet) {
    this.#simulated = device;
    this.interface = deviceInterface;
    this.deviceType = device.model.type;
    this.carries = carries;
    this.queueCount = device.model.queueSizes.length;
  }

  readDeviceFeatures(): FeatureSet {
    return this.#device.features;
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.#device.writeFeatures(features);
    this.#notifiesWithData = features.has(VIRTIO_F_NOTIFICATION_DATA);
  }

  readStatus(): number {
    return this.#device.status;
  }

  writeStatus(status: number): void {
    this.#device.writeStatus(status);
  }

  maxQueueSize(queue: number): number {
    return this.#device.maxQueueSize(queue);
  }

  enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#device.enableQueue(queue, this.interface === 'legacy' ? legacyAddresses(addresses) : addresses);
  }

  resetQueue(queue: number): void {
    this.#device.resetQueue(queue);
  }

  isQueueReset(queue: number): boolean {
    return this.#device.isQueueReset(queue);
  }

  notify(queue: number, next: number): void {
    this.#device.notify(notificationValue(this.#device.notificationIdentity(queue), next, this.#notifiesWithData));
  }

  /** The device runs in this thread, so a notification that is not pending now never comes. */
  wait(_timeoutMs: number): WaitResult {
    if (this.#simulated.takeNotification()) return 'notified';
    return this.#simulated.isLost ? 'lost' : 'timeout';
  }

  configGeneration(): number {
    return 0;
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#device.readConfig(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#device.writeConfig(offset, source);
  }

  dispose(): void {
    this.#simulated.dispose();
  }

  /** The device, as long as it is there. */
  get #device(): SimulatedDevice {
    if (!this.#simulated.isLost) return this.#simulated;
    throw new DeviceError('ERR_DEVICE_LOST', 'the device is gone: an access of it was stopped, and it ended', {
      hint: 'look at the faults of the report; machine.onFault says what a device does after one',
    });
  }
}
