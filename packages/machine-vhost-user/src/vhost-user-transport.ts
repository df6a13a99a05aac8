import type { DeviceDescription } from '@virtio-platform/core';
import { DeviceStatus, type Transport, type WaitResult } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { EventFd, PollEvents, PollSet } from '@virtio-platform/host';
import type { BackEnd } from './back-end.ts';
import { BackEndConfig, type DeviceConfig } from './device-config.ts';
import type { DeviceMemory } from './memory/device-memory.ts';
import type { NetFrontEnd } from './net-front-end.ts';
import { encodeU64, VHOST_F_LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES } from './protocol.ts';
import type { VhostUserConnection } from './vhost-user-connection.ts';
import type { VhostUserQueue } from './vhost-user-queue.ts';

/** What the machine made before the transport. */
export interface TransportParts {
  readonly memory: DeviceMemory;
  readonly queues: readonly VhostUserQueue[];
  /** The parts of a network device that the front-end has; `undefined` for other devices. */
  readonly frontEnd: NetFrontEnd | undefined;
  readonly backEnd: BackEnd;
  readonly device: DeviceDescription;
}

/**
 * The protocol cannot ask a back-end for its limit. Every back-end takes this many entries, and QEMU's have no more by
 * default.
 */
const MAX_QUEUE_SIZE = 256;

/**
 * Feature bits are one 64-bit word. Left out are the protocol's own, and those that need registers it does not have.
 */
const CARRIES = new FeatureSet(2n ** 64n - 1n).minus(
  FeatureSet.of(
    VHOST_F_LOG_ALL,
    VHOST_USER_F_PROTOCOL_FEATURES,
    VIRTIO_F_SR_IOV,
    VIRTIO_F_NOTIFICATION_DATA,
    VIRTIO_F_NOTIF_CONFIG_DATA,
    VIRTIO_F_RING_RESET,
    VIRTIO_F_ADMIN_VQ,
    VIRTIO_F_SUSPEND,
  ),
);

const SOCKET = 0;
const CALL = 1;
const BACK_CHANNEL = 2;
const GONE = PollEvents.PeerClosed | PollEvents.HangUp | PollEvents.Error;

/**
 * The modern interface over a vhost-user back-end. The back-end has rings and features; the device status is kept here,
 * with the checks a device makes. ACCESS_PLATFORM is the back-end's where it translates. Elsewhere it is this machine's
 * own: what a device address means is decided by the memory regions, so the driver is offered the bit where the profile
 * says so and the back-end never hears of it (as QEMU does for a vhost back-end without IOTLB, vhost_dev_has_iommu).
 *
 * A back-end that translates waits for answers: they are given when the driver waits, notifies, or does anything that
 * the back-end has to answer itself.
 */
export class VhostUserTransport implements Transport {
  readonly interface = 'modern';
  readonly deviceType: string;
  readonly carries: FeatureSet = CARRIES;
  readonly queueCount: number;
  readonly #connection: VhostUserConnection;
  readonly #memory: DeviceMemory;
  readonly #offered: FeatureSet;
  /** Of what is offered, the part that the back-end has. */
  readonly #backEndFeatures: FeatureSet;
  readonly #config: DeviceConfig;
  readonly #queues: readonly VhostUserQueue[];
  readonly #call: EventFd = new EventFd();
  readonly #poll: PollSet = new PollSet(3);
  #accepted = FeatureSet.EMPTY;
  #status = 0;
  /** A reset was asked for, and buffers are still in flight. */
  #isResetting = false;

  /** Connection, memory and queues stay the machine's. */
  constructor(connection: VhostUserConnection, { memory, queues, frontEnd, backEnd, device }: TransportParts) {
    this.deviceType = device.type;
    this.#connection = connection;
    this.#memory = memory;
    this.#config = frontEnd ?? new BackEndConfig(connection);
    this.#queues = queues;
    this.queueCount = queues.length;
    const features = frontEnd?.offered(backEnd.features) ?? backEnd.features;
    this.#offered = shownFeatures(features, device.offers, backEnd.translates);
    this.#backEndFeatures = backEnd.translates ? backEnd.features : backEnd.features.without(VIRTIO_F_ACCESS_PLATFORM);
    this.#poll.set(SOCKET, connection.descriptor, PollEvents.PeerClosed);
    this.#poll.set(CALL, this.#call.descriptor, PollEvents.Readable);
    if (memory.backChannel !== undefined) {
      this.#poll.set(BACK_CHANNEL, memory.backChannel.descriptor, PollEvents.Readable);
    }
  }

  readDeviceFeatures(): FeatureSet {
    this.#connection.check();
    return this.#offered;
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.#connection.check();
    this.#accepted = features;
  }

  /** A reset is confirmed only once no buffer is in flight: until then the back-end may still write to memory. */
  readStatus(): number {
    this.#connection.check();
    if (this.#isResetting) this.#finishReset();
    return this.#status;
  }

  writeStatus(status: number): void {
    this.#connection.check();
    if (status === 0) return this.#reset();
    const isNew = (status & ~this.#status & DeviceStatus.FeaturesOk) !== 0;
    this.#status = isNew && !this.#takeFeatures() ? status & ~DeviceStatus.FeaturesOk : status;
  }

  maxQueueSize(queue: number): number {
    this.#connection.check();
    return queue < this.queueCount ? MAX_QUEUE_SIZE : 0;
  }

  enableQueue(index: number, addresses: QueueAddresses): void {
    this.#connection.check();
    const queue = this.#queues[index];
    if (queue === undefined) throw new RangeError(`queue ${index} of ${this.queueCount}`);
    if (addresses.size > MAX_QUEUE_SIZE) throw new RangeError(`queue ${index}: ${addresses.size} entries`);
    if (queue.isRunning) throw new TypeError(`queue ${index} is enabled already`);
    if (!this.#queues.some((other) => other.isRunning)) this.#memory.recorded?.apply();
    queue.start(this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split', addresses, this.#call, this.#memory);
    this.#memory.queueStarted?.();
    // libvhost-user signals a call descriptor as soon as it gets it.
    this.#call.drain();
  }

  /** The bit is not carried, so that nobody can have negotiated it. */
  resetQueue(_queue: number): void {
    throw new TypeError('RING_RESET was not negotiated');
  }

  isQueueReset(index: number): boolean {
    return this.#queues[index]?.isRunning !== true;
  }

  /** Hot: no allocation. */
  notify(index: number, _next: number): void {
    this.#memory.backChannel?.serve();
    this.#connection.check();
    this.#queues[index]!.notify();
  }

  /**
   * A notification that is pending comes before the news that the back-end is gone: it belongs to work that was done.
   */
  wait(timeoutMs: number): WaitResult {
    const deadline = performance.now() + timeoutMs;
    for (let left = timeoutMs; ; left = Math.max(0, deadline - performance.now())) {
      if (this.#connection.isLost) return 'lost';
      if (!this.#poll.wait(left)) return 'timeout';
      if (this.#poll.events(CALL) !== 0 && this.#call.drain()) return 'notified';
      if ((this.#poll.events(SOCKET) & GONE) !== 0) this.#connection.lose('it closed the connection');
      else if (this.#poll.events(BACK_CHANNEL) === 0) return 'timeout';
      else this.#memory.backChannel?.serve();
      if (left === 0) return this.#connection.isLost ? 'lost' : 'timeout';
    }
  }

  /**
   * Constant: the back-end is asked for nothing that would let it announce a change, and one message reads all that
   * belongs together.
   */
  configGeneration(): number {
    this.#connection.check();
    return 0;
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#config.read(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#config.write(offset, source);
  }

  dispose(): void {
    this.#connection.lose('the connection was closed');
    this.#call.dispose();
    this.#poll.dispose();
  }

  /** Checks what a device has to check before FEATURES_OK (specification 1.4 section 2.2), and tells the back-end. */
  #takeFeatures(): boolean {
    const accepted = this.#accepted;
    if (accepted.minus(this.#offered).bits !== 0n || !accepted.has(VIRTIO_F_VERSION_1)) return false;
    const isOffered = this.#offered.has(VIRTIO_F_ACCESS_PLATFORM);
    if (isOffered && !accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return false;
    const told = accepted.and(this.#backEndFeatures).with(VHOST_USER_F_PROTOCOL_FEATURES);
    this.#connection.command('SET_FEATURES', encodeU64(told.bits));
    return true;
  }

  #reset(): void {
    for (const queue of this.#queues) queue.stop();
    // What the back-end asked for before it stopped is asked of the platform as it was then.
    this.#memory.backChannel?.serve();
    this.#accepted = FeatureSet.EMPTY;
    this.#isResetting = true;
    this.#finishReset();
  }

  #finishReset(): void {
    if (!this.#queues.every((queue) => queue.isDrained)) return;
    this.#isResetting = false;
    this.#status = 0;
    for (const queue of this.#queues) queue.forget();
    this.#memory.recorded?.withdraw();
    this.#call.drain();
  }
}

/**
 * What the driver is offered of `features`: what the profile lists; and ACCESS_PLATFORM if it lists that, whose ever it
 * is.
 */
function shownFeatures(features: FeatureSet, offers: FeatureSet | undefined, translates: boolean): FeatureSet {
  const own = translates ? features : features.without(VIRTIO_F_ACCESS_PLATFORM);
  if (offers === undefined) return own;
  const shown = own.and(offers);
  return offers.has(VIRTIO_F_ACCESS_PLATFORM) ? shown.with(VIRTIO_F_ACCESS_PLATFORM) : shown;
}
