import {
  notificationValue,
  VIRTIO_F_NOTIFICATION_DATA,
  type DeviceInterface,
  type FeatureSet,
  type QueueAddresses,
  type Transport,
  type WaitResult,
} from '@virtio-platform/core';
import { legacyAddresses } from './legacy-addresses.ts';
import type { SimulatedDevice } from './simulated-device.ts';

/** Calls the device in the driver's own thread: a notification returns when the device has nothing left to do. */
export class InProcessTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceType: string;
  readonly carries: FeatureSet;
  readonly queueCount: number;
  readonly #device: SimulatedDevice;
  readonly #config: Uint8Array;
  #notifiesWithData = false;

  constructor(device: SimulatedDevice, deviceInterface: DeviceInterface, carries: FeatureSet) {
    this.#device = device;
    this.interface = deviceInterface;
    this.deviceType = device.model.type;
    this.carries = carries;
    this.queueCount = device.model.queueSizes.length;
    this.#config = device.model.config;
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

  /** Nobody else makes progress in this thread: what is not pending now never comes. */
  wait(_timeoutMs: number): WaitResult {
    return this.#device.takeNotification() ? 'notified' : 'timeout';
  }

  configGeneration(): number {
    return 0;
  }

  readConfig(offset: number, target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.#config[offset + i] ?? 0;
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#device.writeConfig(offset, source);
  }

  dispose(): void {
    this.#device.dispose();
  }
}
