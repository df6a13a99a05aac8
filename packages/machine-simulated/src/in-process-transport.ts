import { DeviceError } from '@virtio-platform/core';
import type { DeviceInterface, Transport, WaitResult } from '@virtio-platform/core/device';
import { VIRTIO_F_NOTIFICATION_DATA, type FeatureSet } from '@virtio-platform/core/features';
import { legacyAddresses, notificationValue, type QueueAddresses } from '@virtio-platform/core/queue';
import type { SimulatedDevice } from './simulated-device.ts';

/** Calls the device in the driver's own thread: a notification returns when the device has nothing left to do. */
export class InProcessTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceId: number;
  readonly carries: FeatureSet;
  readonly queueCount: number;
  readonly #simulated: SimulatedDevice;
  #notifiesWithData = false;
  #listener: (() => void) | undefined;
  /** Whether the listener is about to be called. */
  #isTelling = false;

  constructor(device: SimulatedDevice, deviceId: number, deviceInterface: DeviceInterface, carries: FeatureSet) {
    this.#simulated = device;
    this.interface = deviceInterface;
    this.deviceId = deviceId;
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
    this.tellDriver();
  }

  maxQueueSize(queue: number): number {
    return this.#device.maxQueueSize(queue);
  }

  enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#device.enableQueue(queue, this.interface === 'legacy' ? legacyAddresses(addresses) : addresses);
    this.tellDriver();
  }

  resetQueue(queue: number): void {
    this.#device.resetQueue(queue);
    this.tellDriver();
  }

  isQueueReset(queue: number): boolean {
    return this.#device.isQueueReset(queue);
  }

  notify(queue: number, next: number): void {
    this.#device.notify(notificationValue(this.#device.notificationIdentity(queue), next, this.#notifiesWithData));
    if (this.#listener !== undefined) this.tellDriver();
  }

  /** Returns at once: nothing happens in this thread while the driver waits. Timers run when the driver yields. */
  wait(_timeoutMs: number): WaitResult {
    if (this.#simulated.takeNotification()) return 'notified';
    return this.#simulated.isLost ? 'lost' : 'timeout';
  }

  takeConfigChange(): boolean {
    return this.#simulated.takeConfigChange();
  }

  configGeneration(): number {
    return this.interface === 'legacy' ? 0 : this.#device.configGeneration;
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#device.readConfig(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#device.writeConfig(offset, source);
    this.tellDriver();
  }

  watch(listener: () => void): void {
    this.#listener = listener;
    this.tellDriver();
  }

  /** The device may have notified, or be gone: has the listener called once the call that led to it returned. */
  tellDriver(): void {
    const { hasNotification, isLost } = this.#simulated;
    if (this.#listener === undefined || this.#isTelling || (!hasNotification && !isLost)) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      this.#listener?.();
    });
  }

  dispose(): void {
    this.#listener = undefined;
    this.#simulated.dispose();
  }

  /** The device, as long as it is there. */
  get #device(): SimulatedDevice {
    if (!this.#simulated.isLost) return this.#simulated;
    throw new DeviceError('ERR_DEVICE_LOST', `the device is gone: ${this.#simulated.whyLost}`, {
      hint: 'look at the faults of the report; machine.onFault says what a device does after one',
    });
  }
}
