import { isCodedError, type DeviceDescription, type VhostUserFrontEnd } from '@virtio-platform/core';
import { DeviceStatus, type Transport, type WaitResult } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { LoopReader, PollEvents, PollSet } from '@virtio-platform/host';
import type { BackChannel } from './back-channel.ts';
import { factsOf, renegotiateProtocol, type BackEnd } from './back-end.ts';
import { BackEndConfig, NoConfig, FrontEndConfig, type DeviceConfig } from './device-config.ts';
import type { FrontEndQueue } from './front-end-queue.ts';
import { InFlightMemory } from './in-flight-memory.ts';
import { Reconnection, type ReconnectionOptions } from './reconnection.ts';
import type { DirtyPages } from './memory/dirty-pages.ts';
import type { DeviceMemory } from './memory/device-memory.ts';
import {
  encodeU64,
  VHOST_F_LOG_ALL,
  VHOST_USER_CARRIES,
  VHOST_USER_F_PROTOCOL_FEATURES,
} from '@virtio-platform/vhost-user';
import type { VhostUserConnection } from './vhost-user-connection.ts';
import type { VhostUserQueue } from './vhost-user-queue.ts';
/** What the machine made before the transport. */
export interface TransportParts {
  readonly memory: DeviceMemory;
  /** On which the back-end makes requests; `undefined` where it makes none. */
  readonly backChannel: BackChannel | undefined;
  readonly queues: readonly VhostUserQueue[];
  /** The queue behind those of the back-end, which the front-end serves; `undefined` for none. */
  readonly own?: FrontEndQueue | undefined;
  /** The parts of a network device that the front-end has; `undefined` for other devices. */
  readonly frontEnd: VhostUserFrontEnd | undefined;
  readonly backEnd: BackEnd;
  readonly device: DeviceDescription;
  /** How long the back-end may take in all to set up and enable the queues. */
  readonly setUpMs: number;
  /** How the back-end is reached again; `undefined`: one that is gone is lost. */
  readonly reconnect?: Pick<ReconnectionOptions, 'policy' | 'connect'> | undefined;
  /** The log of the pages that the back-end writes to; `undefined` for none. */
  readonly log?: DirtyPages | undefined;
}

/**
 * The protocol cannot ask a back-end for its limit. This is that of libvhost-user (VIRTQUEUE_MAX_SIZE); DPDK and ours
 * take as many. One that takes less refuses SET_VRING_NUM.
 */
const MAX_QUEUE_SIZE = 1024;

/** Entries of the poll set; the notifications of the queues follow. */
const SOCKET = 0;
const BACK_CHANNEL = 1;
const FIRST_QUEUE = 2;
/** Bytes that are read at once of what a back-end sends unasked. */
const UNASKED_BYTES = 64;
/** How long one step of a reset stops queues, so that the caller can look at its deadline. */
const RESET_STEP_MS = 50;
/**
 * How long a reset waits for the buffers that are in flight before it stops the queues. libvhost-user 7.2 gives up the
 * connection when it completes a buffer of a queue that was stopped, because it closed its call descriptor then.
 */
const PATIENCE_MS = 100;
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
  readonly deviceId: number;
  readonly carries: FeatureSet = VHOST_USER_CARRIES;
  readonly queueCount: number;
  readonly #connection: VhostUserConnection;
  readonly #memory: DeviceMemory;
  readonly #offered: FeatureSet;
  /** Of what is offered, the part that the back-end has. */
  readonly #backEndFeatures: FeatureSet;
  readonly #config: DeviceConfig;
  readonly #queues: readonly VhostUserQueue[];
  readonly #own: FrontEndQueue | undefined;
  readonly #backChannel: BackChannel | undefined;
  /** The same where the back-end may wait for a translation before it works on. */
  readonly #translationChannel: BackChannel | undefined;
  readonly #setUpMs: number;
  /** Whether each buffer comes back soon, so that a reset waits for those in flight. */
  readonly #drains: boolean;
  readonly #poll: PollSet;
  readonly #parts: TransportParts;
  readonly #reconnection: Reconnection | undefined;
  #accepted = FeatureSet.EMPTY;
  /** What the back-end was told of the features; `undefined` before FEATURES_OK. */
  #told: FeatureSet | undefined;
  /** What the back-end keeps of what is in flight, since FEATURES_OK. */
  #inFlight: InFlightMemory | undefined;
  #status = 0;
  /** How far a reset is that was asked for: queues are still to be stopped, or buffers are still in flight. */
  #reset: 'none' | 'stopping' | 'draining' = 'none';
  /** When to stop the queues, whether or not buffers still come back. */
  #patienceEnd = 0;
  #generation = 0;
  /** Whether the driver has to be notified that the configuration changed. */
  #isConfigNew = false;
  /** Whether a wait told the driver so, and the driver did not ask yet. */
  #isConfigChanged = false;
  /** Reads the end of the connection, for a driver that watches. */
  #reader: LoopReader | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isRenewed = false;
  /** Of a driver that watches. */
  #listener: (() => void) | undefined;

  /** Connection, memory and queues stay the machine's. */
  constructor(connection: VhostUserConnection, parts: TransportParts) {
    const { memory, backChannel, queues, own, frontEnd, backEnd, device, setUpMs } = parts;
    this.#parts = parts;
    this.deviceId = device.type.id;
    this.#drains = device.type.vhostUser?.drains ?? false;
    this.#connection = connection;
    this.#memory = memory;
    const { hasConfig } = backEnd;
    const ownConfig = hasConfig ? new BackEndConfig(connection, backChannel !== undefined) : new NoConfig();
    this.#config = frontEnd === undefined ? ownConfig : new FrontEndConfig(frontEnd);
    this.#queues = queues;
    this.#own = own;
    this.#backChannel = backChannel;
    this.#translationChannel = backEnd.translates ? backChannel : undefined;
    this.#setUpMs = setUpMs;
    this.#poll = new PollSet(FIRST_QUEUE + queues.length);
    this.queueCount = queues.length + (own === undefined ? 0 : 1);
    const features =
      frontEnd === undefined
        ? backEnd.features
        : new FeatureSet(backEnd.features.minus(frontEnd.hides).bits | frontEnd.adds.bits);
    this.#offered = shownFeatures(features, device.offers, backEnd.translates);
    this.#backEndFeatures = backEnd.translates ? backEnd.features : backEnd.features.without(VIRTIO_F_ACCESS_PLATFORM);
    this.#poll.set(SOCKET, connection.descriptor, PollEvents.PeerClosed);
    if (backChannel !== undefined) this.#poll.set(BACK_CHANNEL, backChannel.descriptor, PollEvents.Readable);
    if (parts.reconnect === undefined) return;
    const replay = (): void => this.#replay();
    this.#reconnection = new Reconnection(connection, { ...parts.reconnect, replay, setUpMs });
    connection.reviveWith(this.#reconnection);
  }

  /** How often another process took the place of the back-end. */
  get reconnects(): number {
    return this.#reconnection?.count ?? 0;
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
    if (this.#reset === 'none' && this.#isReconnecting) return this.#status;
    this.#connection.check();
    if (this.#reset !== 'none') this.#advanceReset();
    return this.#status;
  }

  writeStatus(status: number): void {
    this.#connection.check();
    if (status === 0) return this.#startReset();
    const isNew = (status & ~this.#status & DeviceStatus.FeaturesOk) !== 0;
    const isStart = (status & ~this.#status & DeviceStatus.DriverOk) !== 0;
    if (isStart) this.#surviving(() => this.#enableQueues());
    this.#status = isNew && !this.#surviving(() => this.#takeFeatures()) ? status & ~DeviceStatus.FeaturesOk : status;
  }

  maxQueueSize(queue: number): number {
    this.#connection.check();
    return queue < this.queueCount ? MAX_QUEUE_SIZE : 0;
  }

  /**
   * Sets the queue up. All queues of a driver are set up before DRIVER_OK, which enables them: some back-ends have no
   * second queue for the first one otherwise.
   */
  enableQueue(index: number, addresses: QueueAddresses): void {
    this.#connection.check();
    if (index === this.#own?.index) return this.#own.setUp(addresses, this.#accepted);
    const queue = this.#queues[index];
    if (queue === undefined) throw new RangeError(`queue ${index} of ${this.queueCount}`);
    if (addresses.size > MAX_QUEUE_SIZE) throw new RangeError(`queue ${index}: ${addresses.size} entries`);
    if (queue.isRunning) throw new TypeError(`queue ${index} is enabled already`);
    if (!this.#queues.some((other) => other.isRunning)) this.#memory.recorded?.apply();
    const layout = this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
    const descriptor = this.#surviving(() => queue.setUp(layout, addresses, this.#memory));
    this.#poll.set(FIRST_QUEUE + index, descriptor, PollEvents.Readable);
  }

  /** vhost-user does not carry RING_RESET, so no driver negotiates it. */
  resetQueue(_queue: number): void {
    throw new TypeError('RING_RESET was not negotiated');
  }

  isQueueReset(index: number): boolean {
    const queue = index === this.#own?.index ? this.#own : this.#queues[index];
    return queue?.isRunning !== true;
  }

  /** Hot: no allocation. */
  notify(index: number, _next: number): void {
    this.#translationChannel?.serve();
    // A back-end that is there again is notified of every queue.
    if (this.#connection.isLost && this.#isReconnecting && index !== this.#own?.index) return;
    this.#connection.check();
    if (index === this.#own?.index) this.#serveOwn(this.#own);
    else if (!this.#queues[index]!.notify()) this.#explainUnread(index);
  }

  /** The listener hears of it once the call of the driver returned. */
  #serveOwn(own: FrontEndQueue): void {
    own.serve();
    if (own.isBroken) this.#status |= DeviceStatus.NeedsReset;
    if (this.#listener !== undefined && own.hasNotification) setImmediate(this.#listener);
  }

  usedNotifications(index: number): number {
    if (index === this.#own?.index) return this.#own.notifications;
    return this.#queues[index]?.callsTaken ?? 0;
  }

  /**
   * A notification that is pending comes before the news that the back-end is gone: it belongs to work that was done.
   */
  wait(timeoutMs: number): WaitResult {
    const deadline = performance.now() + timeoutMs;
    for (let left = timeoutMs; ; left = deadline - performance.now()) {
      if (this.#takeRenewal() || this.#takeConfigChange() || this.#own?.takeNotification() === true) return 'notified';
      if (this.#reader !== undefined && this.#takeWatchedCalls()) return 'notified';
      if (this.#connection.isLost) {
        if (!this.#isReconnecting) return 'lost';
        if (this.#reconnection?.advance(left) === 'waiting') return 'timeout';
        continue;
      }
      if (!this.#poll.wait(left)) return 'timeout';
      const isCalled = this.#takeCalls();
      // Calls of a back-end that is always faster than the driver leave its requests their turn.
      if (this.#poll.events(BACK_CHANNEL) !== 0) this.#backChannel?.serve();
      if (isCalled) return 'notified';
      if ((this.#poll.events(SOCKET) & GONE) !== 0) this.#connection.loseGone('it closed the connection');
      if (left <= 0 && !this.#connection.isLost) return 'timeout';
    }
  }

  /**
   * The event loop reads the notifications of queues that are enabled from here on, and what the back-end asks on the
   * back channel, which is answered at once. On the main socket a back-end sends only what it was asked for.
   */
  watch(listener: () => void): void {
    const whereLost = (): void => {
      listener();
      this.#reconnectLater();
    };
    this.#listener = whereLost;
    this.#watchConnection();
    this.#backChannel?.watch(whereLost);
    for (const queue of this.#queues) queue.watch(listener);
  }

  takeConfigChange(): boolean {
    const isChanged = this.#isConfigChanged;
    this.#isConfigChanged = false;
    return isChanged;
  }

  /** Changes with each message of the back-end that the configuration changed. One message reads all of it. */
  configGeneration(): number {
    this.#connection.check();
    this.#backChannel?.serve();
    this.#noteConfigChange();
    this.#connection.check();
    return this.#generation;
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#config.read(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#config.write(offset, source);
  }

  dispose(): void {
    this.#connection.lose('the connection was closed');
    this.#reconnection?.dispose();
    clearTimeout(this.#retry);
    this.#inFlight?.dispose();
    this.#inFlight = undefined;
    this.#reader?.dispose();
    this.#listener = undefined;
    this.#poll.dispose();
  }

  /**
   * No process reads the notifications of a queue. Where the back-end is gone altogether, `wait` finds it, after the
   * notifications that are pending.
   */
  #explainUnread(index: number): void {
    this.#poll.wait(0);
    if ((this.#poll.events(SOCKET) & GONE) !== 0) return;
    this.#connection.lose(`it closed the descriptor that notifies it of queue ${index}`);
  }

  /** Of all queues: a notification of one of them is no reason to leave another one pending. */
  #takeCalls(): boolean {
    let isNotified = false;
    for (let i = 0; i < this.#queues.length; i++) {
      if (this.#poll.events(FIRST_QUEUE + i) !== 0 && this.#queues[i]!.takeCalls()) isNotified = true;
    }
    return isNotified;
  }

  #takeWatchedCalls(): boolean {
    let isNotified = false;
    for (const queue of this.#queues) if (queue.takeWatchedCalls()) isNotified = true;
    return isNotified;
  }

  /** Reads the configuration again after the back-end said that it changed, once no answer is awaited any more. */
  #noteConfigChange(): void {
    const changes = this.#backChannel?.configChanges ?? 0;
    if (changes === this.#generation) return;
    this.#generation = changes;
    this.#isConfigNew = true;
    this.#config.changed();
  }

  /** Whether the driver has to be notified of a change. The error of a configuration is that of the driver's read. */
  #takeConfigChange(): boolean {
    try {
      this.#noteConfigChange();
    } catch (error) {
      if (!isCodedError(error)) throw error;
    }
    const isNew = this.#isConfigNew;
    this.#isConfigNew = false;
    if (isNew) this.#isConfigChanged = true;
    return isNew;
  }

  /** Checks what a device has to check before FEATURES_OK (specification 1.4 section 2.2), and tells the back-end. */
  #takeFeatures(): boolean {
    const accepted = this.#accepted;
    if (accepted.minus(this.#offered).bits !== 0n || !accepted.has(VIRTIO_F_VERSION_1)) return false;
    const isOffered = this.#offered.has(VIRTIO_F_ACCESS_PLATFORM);
    if (isOffered && !accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return false;
    const own = accepted.and(this.#backEndFeatures).with(VHOST_USER_F_PROTOCOL_FEATURES);
    const told = this.#parts.log === undefined ? own : own.with(VHOST_F_LOG_ALL);
    this.#told = told;
    this.#connection.startBudget('to set up its queues (machine.startTimeout)', this.#setUpMs);
    this.#connection.command('SET_FEATURES', encodeU64(told.bits));
    this.#inFlight?.dispose();
    this.#inFlight = undefined;
    if (this.#parts.backEnd.hasInFlight)
      this.#inFlight = InFlightMemory.ask(this.#connection, this.#queues.length, MAX_QUEUE_SIZE);
    return true;
  }

  #enableQueues(): void {
    this.#memory.queuesSetUp?.();
    for (const queue of this.#queues) if (queue.isRunning) queue.enable();
    this.#connection.endBudget();
    this.#connection.confirm();
  }

  #startReset(): void {
    this.#connection.endBudget();
    this.#accepted = FeatureSet.EMPTY;
    this.#own?.reset();
    this.#reset = 'stopping';
    this.#patienceEnd = performance.now() + PATIENCE_MS;
    this.#advanceReset();
  }

  /**
   * Stops queues for a while, and finishes when nothing is in flight. Throws {@link DeviceError} where the back-end is
   * gone: what did not answer has not confirmed a reset.
   */
  #advanceReset(): void {
    if (this.#reset === 'stopping' && (this.#isBusy() || !this.#stopQueues())) return;
    this.#reset = 'draining';
    if (!this.#queues.every((queue) => queue.isDrained)) return;
    // What a driver wrote to the configuration has its first values again, where the back-end can be told.
    if (this.#parts.backEnd.canReset) this.#surviving(() => this.#connection.command('RESET_DEVICE'));
    this.#reset = 'none';
    this.#status = 0;
    this.#told = undefined;
    this.#inFlight?.dispose();
    this.#inFlight = undefined;
    this.#isConfigNew = false;
    this.#isConfigChanged = false;
    for (const [index, queue] of this.#queues.entries()) {
      this.#poll.unset(FIRST_QUEUE + index);
      queue.forget();
    }
    this.#memory.recorded?.withdraw();
    this.#memory.deviceReset?.();
  }

  /** Whether buffers are in flight that a reset waits for. */
  #isBusy(): boolean {
    if (!this.#drains || performance.now() > this.#patienceEnd) return false;
    return this.#queues.some((queue) => queue.isBusy);
  }

  /** Whether the back-end is gone and may be there again. */
  get #isReconnecting(): boolean {
    return this.#reconnection?.mayRevive === true;
  }

  /** Does something once more where the back-end was gone meanwhile and is there again. */
  #surviving<T>(operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      if (!this.#connection.isGone || !this.#isReconnecting) throw error;
      this.#reconnection!.revive();
      return operation();
    }
  }

  /** Makes another process in the place of the back-end know all that the last one knew. Throws {@link DeviceError}. */
  #replay(): void {
    const { backEnd, device } = this.#parts;
    renegotiateProtocol(this.#connection, backEnd, factsOf(device.type));
    this.#poll.set(SOCKET, this.#connection.descriptor, PollEvents.PeerClosed);
    this.#backChannel?.renew();
    if (this.#backChannel !== undefined)
      this.#poll.set(BACK_CHANNEL, this.#backChannel.descriptor, PollEvents.Readable);
    if (this.#told !== undefined) this.#connection.command('SET_FEATURES', encodeU64(this.#told.bits));
    this.#inFlight?.give();
    this.#memory.replay();
    this.#parts.log?.give();
    const inOrder = this.#told?.has(VIRTIO_F_IN_ORDER) === true;
    for (const [index, queue] of this.#queues.entries()) {
      const descriptor = queue.resume(this.#inFlight !== undefined, inOrder);
      if (descriptor === undefined) this.#poll.unset(FIRST_QUEUE + index);
      else this.#poll.set(FIRST_QUEUE + index, descriptor, PollEvents.Readable);
    }
    if (this.#reader !== undefined) this.#watchConnection();
    if ((this.#status & DeviceStatus.DriverOk) === 0) return;
    this.#memory.queuesSetUp?.();
    for (const queue of this.#queues) if (queue.isRunning) queue.enable();
    this.#connection.confirm();
    for (const queue of this.#queues) queue.kick();
    this.#isRenewed = true;
    if (this.#listener !== undefined) setImmediate(this.#listener);
  }

  /** Whether the driver has to look at all of its queues: a process that is gone notified it of nothing any more. */
  #takeRenewal(): boolean {
    const isRenewed = this.#isRenewed;
    this.#isRenewed = false;
    return isRenewed;
  }

  /** Has the event loop read the end of the connection: on it a back-end sends only what it was asked for. */
  #watchConnection(): void {
    const lose = (isGone: boolean, reason: string): void => {
      if (isGone) this.#connection.loseGone(reason);
      else this.#connection.lose(reason);
      this.#listener?.();
    };
    this.#reader?.dispose();
    this.#reader = new LoopReader(this.#connection.descriptor, UNASKED_BYTES, {
      received: (_, length) => lose(false, `it sent ${length} bytes that it was not asked for`),
      ended: () => lose(true, 'it closed the connection'),
    });
  }

  /** Tells a driver that watches to look again, as long as the back-end is gone. */
  #reconnectLater(): void {
    clearTimeout(this.#retry);
    if (!this.#connection.isLost || !this.#isReconnecting) return;
    this.#retry = setTimeout(() => this.#listener?.(), this.#parts.reconnect!.policy.interval);
    this.#retry.unref();
  }

  /** Returns whether all queues are stopped. */
  #stopQueues(): boolean {
    const end = performance.now() + RESET_STEP_MS;
    let stopped = 0;
    for (const queue of this.#queues) {
      if (!queue.isRunning) continue;
      if (stopped > 0 && performance.now() > end) return false;
      this.#surviving(() => queue.stop());
      stopped++;
    }
    // One that ends after its last answer has not stopped, it died.
    if (stopped > 0) this.#connection.confirm();
    // What the back-end asked for before it stopped is asked of the platform as it was then.
    this.#backChannel?.serve();
    return true;
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
