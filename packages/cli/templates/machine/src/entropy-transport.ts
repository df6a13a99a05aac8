import { randomFillSync } from 'node:crypto';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DeviceStatus, type DeviceInterface, type Transport, type WaitResult } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { DescriptorChain, openDeviceQueue, type DeviceQueue, type QueueAddresses } from '@virtio-platform/core/queue';

const QUEUE_SIZE = 256;

/** The number of the device type (virtio 1.4 section 5). */
export const ENTROPY_DEVICE = 4;

/** What the device can offer. */
export const ENTROPY_FEATURES: FeatureSet = FeatureSet.of(
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
);

/**
 * The registers of an entropy device (virtio 1.4 section 5.4) and the device behind them, in the driver's thread: a
 * notification returns when the device has nothing left to do.
 */
export class EntropyTransport implements Transport {
  readonly interface: DeviceInterface = 'modern';
  readonly deviceId: number = ENTROPY_DEVICE;
  readonly carries: FeatureSet = new FeatureSet((1n << 64n) - 1n);
  readonly queueCount = 1;
  readonly #space: DeviceAddressSpace;
  readonly #offers: FeatureSet;
  readonly #random: Uint8Array;
  #status = 0;
  #accepted: FeatureSet = FeatureSet.EMPTY;
  #queue: DeviceQueue | undefined;
  #chain = new DescriptorChain(0);
  #isNotified = false;

  constructor(space: DeviceAddressSpace, offers: FeatureSet, most: number) {
    this.#space = space;
    this.#offers = offers;
    this.#random = new Uint8Array(most);
  }

  readDeviceFeatures(): FeatureSet {
    return this.#offers;
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.#accepted = features;
  }

  readStatus(): number {
    return this.#status;
  }

  writeStatus(status: number): void {
    if (status === 0) this.#reset();
    const isRefused = (status & DeviceStatus.FeaturesOk) !== 0 && !this.#takesFeatures();
    this.#status = isRefused ? status & ~DeviceStatus.FeaturesOk : status;
  }

  maxQueueSize(queue: number): number {
    return queue === 0 ? QUEUE_SIZE : 0;
  }

  enableQueue(_queue: number, addresses: QueueAddresses): void {
    const layout = this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
    this.#queue = openDeviceQueue(layout, this.#space, {
      addresses,
      eventIdx: this.#accepted.has(VIRTIO_RING_F_EVENT_IDX),
      indirect: this.#accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
    });
    this.#chain = new DescriptorChain(this.#queue.longestChain);
  }

  resetQueue(_queue: number): void {
    throw new TypeError('RING_RESET is not offered');
  }

  isQueueReset(_queue: number): boolean {
    return this.#queue === undefined;
  }

  notify(_queue: number, _next: number): void {
    const queue = this.#queue;
    if (queue === undefined || (this.#status & DeviceStatus.DriverOk) === 0) return;
    do {
      while (queue.pop(this.#chain)) queue.push(this.#chain.head, this.#fill());
      if (queue.flush()) this.#isNotified = true;
    } while (queue.broken === undefined && !queue.enableNotifications());
    if (queue.broken === undefined) return;
    this.#status |= DeviceStatus.NeedsReset;
    this.#isNotified = true;
  }

  /** The device works in this thread: what is not pending now never comes. */
  wait(_timeoutMs: number): WaitResult {
    const isNotified = this.#isNotified;
    this.#isNotified = false;
    return isNotified ? 'notified' : 'timeout';
  }

  configGeneration(): number {
    return 0;
  }

  /** An entropy device has no configuration. */
  readConfig(_offset: number, target: Uint8Array): void {
    target.fill(0);
  }

  writeConfig(_offset: number, _source: Uint8Array): void {}

  dispose(): void {
    this.#reset();
  }

  /** Writes random bytes to the buffer, and returns how many. */
  #fill(): number {
    const { count, readable, low, high, length } = this.#chain;
    randomFillSync(this.#random);
    let written = 0;
    for (let at = readable; at < count && written < this.#random.length; at++) {
      const bytes = Math.min(length[at]!, this.#random.length - written);
      if (!this.#space.write(low[at]!, high[at]!, this.#random, written, bytes)) break;
      written += bytes;
    }
    return written;
  }

  #takesFeatures(): boolean {
    return this.#accepted.has(VIRTIO_F_VERSION_1) && this.#accepted.minus(this.#offers).equals(FeatureSet.EMPTY);
  }

  #reset(): void {
    this.#status = 0;
    this.#accepted = FeatureSet.EMPTY;
    this.#queue = undefined;
    this.#isNotified = false;
  }
}
