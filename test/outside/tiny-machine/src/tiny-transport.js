import { readSync } from 'node:fs';
import { DeviceStatus } from '@virtio-platform/core/device';
import {
  FeatureSet,
  NO_DEVICE_FEATURES,
  transportCarries,
  unmetDependency,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { DescriptorChain, openDeviceQueue } from '@virtio-platform/core/queue';

const QUEUE_SIZE = 64;
/** Bytes that one buffer gets at most: a device may fill less than it was given. */
const MOST_BYTES = 4096;

/** The registers of an entropy device, its queue, and the device: all in the driver's thread. */
export class TinyTransport {
  /** What the device can do. */
  static FEATURES = FeatureSet.of(
    VIRTIO_F_VERSION_1,
    VIRTIO_F_ACCESS_PLATFORM,
    VIRTIO_F_RING_PACKED,
    VIRTIO_F_IN_ORDER,
    VIRTIO_RING_F_EVENT_IDX,
    VIRTIO_RING_F_INDIRECT_DESC,
  );

  interface = 'modern';
  deviceId = 4;
  carries = transportCarries('mmio');
  queueCount = 1;
  #space;
  #offers;
  #source;
  #bytes = new Uint8Array(MOST_BYTES);
  #accepted = FeatureSet.EMPTY;
  #status = 0;
  #queue;
  #chain;
  #isNotified = false;

  /** The device reaches memory through `space` only, and takes its bytes from the open file `source`. */
  constructor(space, offers, source) {
    this.#space = space;
    this.#offers = offers;
    this.#source = source;
  }

  readDeviceFeatures() {
    return this.#offers;
  }

  writeDriverFeatures(features) {
    if ((this.#status & DeviceStatus.FeaturesOk) === 0) this.#accepted = features;
  }

  readStatus() {
    return this.#status;
  }

  /** Status bits are only added, but by a reset. A device that cannot work with the features leaves FEATURES_OK out. */
  writeStatus(status) {
    if (status === 0) return this.#reset();
    this.#status |= this.#mayAccept() ? status : status & ~(DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
  }

  maxQueueSize(queue) {
    return queue === 0 ? QUEUE_SIZE : 0;
  }

  enableQueue(queue, addresses) {
    if (queue !== 0 || this.#queue !== undefined || addresses.size > QUEUE_SIZE) return this.#fail();
    try {
      this.#queue = openDeviceQueue(this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split', this.#space, {
        addresses,
        eventIdx: this.#accepted.has(VIRTIO_RING_F_EVENT_IDX),
        indirect: this.#accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
        inOrder: this.#accepted.has(VIRTIO_F_IN_ORDER),
      });
      this.#chain = new DescriptorChain(this.#queue.longestChain);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#fail();
    }
  }

  /** The device does not offer RING_RESET, so no driver can have negotiated it. */
  resetQueue(_queue) {
    throw new TypeError('RING_RESET was not negotiated');
  }

  isQueueReset(queue) {
    return queue !== 0 || this.#queue === undefined;
  }

  /** The device works in the driver's thread: when this returns, nothing is left to do. */
  notify(_queue, _next) {
    const isLive = (this.#status & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset)) === DeviceStatus.DriverOk;
    if (!isLive || this.#queue === undefined) return;
    const faults = this.#space.faults.count;
    do {
      this.#queue.disableNotifications();
      while (this.#queue.pop(this.#chain)) this.#queue.push(this.#chain.head, this.#fill(this.#chain));
      if (this.#queue.flush()) this.#isNotified = true;
    } while (!this.#queue.enableNotifications());
    if (this.#queue.broken !== undefined || this.#space.faults.count > faults) this.#fail();
  }

  /** What is not there by now never comes: nothing else runs in this thread. */
  wait(_timeoutMs) {
    const isNotified = this.#isNotified;
    this.#isNotified = false;
    return isNotified ? 'notified' : 'timeout';
  }

  configGeneration() {
    return 0;
  }

  /** An entropy device has no configuration. */
  readConfig(_offset, target) {
    target.fill(0);
  }

  writeConfig(_offset, _source) {}

  dispose() {}

  /** Fills the segments that the device may write, and returns how many bytes it wrote. */
  #fill({ readable, count, low, high, length }) {
    let written = 0;
    for (let i = readable; i < count && written < MOST_BYTES; i++) {
      const bytes = readSync(this.#source, this.#bytes, 0, Math.min(length[i], MOST_BYTES - written), null);
      if (!this.#space.write(low[i], high[i], this.#bytes, 0, bytes)) break;
      written += bytes;
      if (bytes < length[i]) break;
    }
    return written;
  }

  #mayAccept() {
    if (this.#accepted.minus(this.#offers).bits !== 0n) return false;
    if (unmetDependency(this.#accepted, NO_DEVICE_FEATURES) !== undefined || !this.#accepted.has(VIRTIO_F_VERSION_1))
      return false;
    return !this.#offers.has(VIRTIO_F_ACCESS_PLATFORM) || this.#accepted.has(VIRTIO_F_ACCESS_PLATFORM);
  }

  /** The driver or the platform broke a rule: the device asks for a reset (specification 1.4 section 2.1.2). */
  #fail() {
    this.#status |= DeviceStatus.NeedsReset;
    this.#isNotified = true;
  }

  #reset() {
    this.#status = 0;
    this.#accepted = FeatureSet.EMPTY;
    this.#queue = undefined;
    this.#isNotified = false;
    this.#space.reset?.();
  }
}
