import type { DeviceInterface, Transport, WaitResult } from '@virtio-platform/core/device';
import { VIRTIO_F_NOTIFICATION_DATA, type FeatureSet } from '@virtio-platform/core/features';
import { legacyAddresses, notificationValue, type QueueAddresses } from '@virtio-platform/core/queue';
import { DriverListener } from './driver-listener.ts';
import { presentDevice } from './present-device.ts';
import type { SimulatedDevice } from './simulated-device.ts';

/** Calls the device in the driver's own thread: a notification returns when the device has nothing left to do. */
export class InProcessTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceId: number;
  readonly carries: FeatureSet;
  readonly queueCount: number;
  readonly #simulated: SimulatedDevice;
  readonly #listener: DriverListener;
  #notifiesWithData = false;

  constructor(device: SimulatedDevice, deviceId: number, deviceInterface: DeviceInterface, carries: FeatureSet) {
    this.#simulated = device;
    this.#listener = new DriverListener(device);
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
    if (this.#listener.isWatched) this.tellDriver();
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
    this.#listener.watch(listener);
  }

  /** See {@link DriverListener.tell}. */
  tellDriver(): void {
    this.#listener.tell();
  }

  dispose(): void {
    this.#listener.end();
    this.#simulated.dispose();
  }

  get #device(): SimulatedDevice {
    return presentDevice(this.#simulated);
  }
}
