import {
  ContractError,
  describeError,
  describeValue,
  KEPT,
  type DeviceModel,
  type DeviceQueues,
  type DeviceTypePlugin,
  type NotificationCounts,
} from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DeviceStatus } from '@virtio-platform/core/device';
import { MisbehaviorSignal } from '@virtio-platform/core/failure';
import {
  FeatureSet,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import {
  DescriptorChain,
  notifiedIdentity,
  openDeviceQueue,
  type ByteOrder,
  type DeviceQueue,
  type QueueAddresses,
} from '@virtio-platform/core/queue';
import { DriverNotifications } from './driver-notifications.ts';
import type { FaultConsequence } from './fault-consequence.ts';
import { mayAccept, type AcceptanceTerms } from './may-accept.ts';
import type { RogueAccess } from './options.ts';
import { RogueAccesses } from './rogue-accesses.ts';

/** How the device is offered, and how it behaves. */
export interface SimulatedDeviceOptions extends AcceptanceTerms {
  readonly type: Pick<DeviceTypePlugin, 'features' | 'config'>;
  readonly byteOrder: ByteOrder;
  readonly onFault: FaultConsequence;
  readonly rogue: readonly RogueAccess[];
  /** Stands in front of each queue that is enabled. */
  readonly watchQueue?: ((queue: DeviceQueue, index: number) => DeviceQueue) | undefined;
  /** Whether a notification of a queue is on its way to {@link SimulatedDevice.notify}. Default: none is. */
  readonly isRung?: ((queue: number) => boolean) | undefined;
  /**
   * Called after an event of the device half, outside of the driver's calls: there may be a notification to take. A
   * driver in the same thread that does not watch finds it with its next wait.
   */
  readonly onEvent?: (() => void) | undefined;
}

/** What every register of a frozen device reads as. */
const FROZEN = 0xff;

interface EnabledQueue {
  readonly queue: DeviceQueue;
  readonly chain: DescriptorChain;
}

/**
 * The registers of a virtio device and its queues, around a device half. Accepts a driver's feature set only when it
 * may (specification 1.4 section 2.2.2): no unoffered bit, no unmet dependency, and ACCESS_PLATFORM where it is
 * offered, as QEMU demands. Its address space was bound by what it offers, and nothing a driver does changes that.
 */
export class SimulatedDevice implements DeviceQueues {
  readonly model: DeviceModel;
  readonly #options: SimulatedDeviceOptions;
  readonly #space: DeviceAddressSpace;
  /** By index. */
  readonly #queues: (EnabledQueue | undefined)[] = [];
  /** Queues that wait for ever. */
  readonly #stalled = new Set<number>();
  readonly #notifications: DriverNotifications;
  readonly #rogue: RogueAccesses;
  #accepted = FeatureSet.EMPTY;
  #status = 0;
  /** Generation of the translations that the driver promised not to change; -1 while it promised nothing. */
  #frozenAt = -1;
  /** Errors of the device half among the faults: they are no refused accesses. */
  #reported = 0;
  /** The queue that is being served. */
  #serving = 0;
  /** Tables longer than their queue, of queues that are gone. */
  #longTables = 0;
  #notify = false;
  #hasUsed = false;
  #isConfigChanged = false;
  /** Whether the configuration changed while it was suspended. */
  #isChangeDeferred = false;
  #configGeneration = 0;
  /** Whether queues are being served, so that an event from inside is served with them. */
  #isServing = false;
  #lastNotification = -1;
  #isFrozen = false;
  #isLost = false;
  #hasDied = false;
  #isDisposed = false;
  #error: { readonly thrown: unknown } | undefined;

  /** Owns `model`. `space` is as `spaceWithConsequence` made it. */
  constructor(model: DeviceModel, space: DeviceAddressSpace, options: SimulatedDeviceOptions) {
    this.model = model;
    this.#space = space;
    this.#options = options;
    this.#notifications = new DriverNotifications(options.isRung);
    this.#rogue = new RogueAccesses(space, options.rogue);
    model.connect?.({
      queueChanged: () => this.#hear(() => this.run()),
      configChanged: () => this.#hear(() => this.#changeConfig()),
    });
  }

  get features(): FeatureSet {
    return this.#options.offers;
  }

  get status(): number {
    return this.#isFrozen ? FROZEN : this.#status;
  }

  /** Whether the device is gone for good: a transport that accesses its registers reports that. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Why the device is gone, where {@link isLost}. */
  get whyLost(): string {
    return this.#hasDied ? 'it died on purpose (device.misbehaves.dies)' : 'an access of it was stopped, and it ended';
  }

  /** The first thing that was thrown in the device half or in the address space; see `BootedMachine.deviceError`. */
  get error(): { readonly thrown: unknown } | undefined {
    return this.#error;
  }

  /** The driver's notifications from boot on, with those that it owes at this moment. */
  get notifications(): NotificationCounts {
    return this.#notifications.with(this.#liveQueues());
  }

  /** Indirect tables from boot on that were longer than their queue, against specification 1.4 section 2.7.5.3.1. */
  get longTables(): number {
    return this.#queues.reduce((sum, enabled) => sum + (enabled?.queue.longTables ?? 0), this.#longTables);
  }

  /** Whether {@link takeNotification} has one to take. */
  get hasNotification(): boolean {
    return this.#notify;
  }

  /** Whether a used buffer or configuration change notification was sent since the last call. */
  takeNotification(): boolean {
    const notify = this.#notify;
    this.#notify = false;
    return notify;
  }

  /** Whether a used buffer notification was sent since the last call. */
  takeUsedNotification(): boolean {
    const hasUsed = this.#hasUsed;
    this.#hasUsed = false;
    return hasUsed;
  }

  /** Whether a configuration change notification was sent since the last call. */
  takeConfigChange(): boolean {
    const isChanged = this.#isConfigChanged;
    this.#isConfigChanged = false;
    return isChanged;
  }

  /** Changes with the configuration: 8 bits, as on PCI (section 4.1.4.3). */
  get configGeneration(): number {
    return this.#configGeneration;
  }

  /**
   * What the driver notified with last, -1 since a reset: what it said of a ring with NOTIFICATION_DATA. For those who
   * debug a driver.
   */
  get lastNotification(): number {
    return this.#lastNotification;
  }

  /** Ignored after FEATURES_OK: features change only through a reset (section 2.2). */
  writeFeatures(features: FeatureSet): void {
    if ((this.#status & DeviceStatus.FeaturesOk) === 0) this.#accepted = features;
  }

  writeStatus(status: number): void {
    if (status === 0) return this.#reset();
    if (this.#isFrozen) return;
    const set = status & ~this.#status;
    this.#status |= status & (DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.Failed);
    if ((set & DeviceStatus.FeaturesOk) !== 0 && mayAccept(this.#accepted, this.#options)) {
      this.#status |= DeviceStatus.FeaturesOk;
      this.#freeze();
    }
    if ((set & DeviceStatus.Suspend) !== 0) this.#suspend();
    if ((set & DeviceStatus.DriverOk) !== 0) this.#start();
  }

  maxQueueSize(queue: number): number {
    return this.model.queueSizes[queue] ?? 0;
  }

  /**
   * A queue that may not be enabled stays as it is, and the device asks for a reset: also one that is enabled already.
   */
  enableQueue(index: number, addresses: QueueAddresses): void {
    try {
      if (addresses.size > this.maxQueueSize(index))
        throw new RangeError(`queue ${index} has no ${addresses.size} entries`);
      if (this.#queues[index] !== undefined) throw new RangeError(`queue ${index} is enabled already`);
      const layout = this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
      const opened = openDeviceQueue(layout, this.#space, {
        addresses,
        eventIdx: this.#accepted.has(VIRTIO_RING_F_EVENT_IDX),
        indirect: this.#accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
        inOrder: this.#accepted.has(VIRTIO_F_IN_ORDER),
        byteOrder: this.#options.byteOrder,
        // A chain of a device half has room for the largest queue that the half has.
        tableEntries: this.maxQueueSize(index),
      });
      const queue = this.#options.watchQueue?.(opened, index) ?? opened;
      this.#queues[index] = { queue, chain: new DescriptorChain(queue.longestChain) };
    } catch (error) {
      this.#error ??= { thrown: error };
      if (!(error instanceof RangeError)) this.report(index, error);
      this.#fail();
    }
  }

  /** Resets a queue, as {@link disableQueue} ends it (section 2.6.1). Throws `TypeError` without RING_RESET. */
  resetQueue(index: number): void {
    if (!this.#accepted.has(VIRTIO_F_RING_RESET)) throw new TypeError('RING_RESET was not negotiated');
    this.disableQueue(index);
  }

  /** Ends a queue at once: it is not touched again, and its buffers are the driver's. */
  disableQueue(index: number): void {
    const enabled = this.#queues[index];
    if (enabled === undefined) return;
    this.#longTables += enabled.queue.longTables;
    this.#queues[index] = undefined;
    this.#stalled.delete(index);
    this.#notifications.forgets(index);
    this.#guard(index, () => this.model.forget(index));
    this.#guard(-1, () => this.#space.reset?.());
  }

  isQueueReset(index: number): boolean {
    return this.#queues[index] === undefined;
  }

  /**
   * What names a queue in notifications with NOTIF_CONFIG_DATA: anything but its index, so that a driver that ignores
   * it is not heard.
   */
  notificationIdentity(index: number): number {
    return this.#accepted.has(VIRTIO_F_NOTIF_CONFIG_DATA) ? 0x4000 + 3 * index : index;
  }

  /**
   * An available buffer notification, as `notificationValue` made it. One that names no queue that is enabled is
   * ignored. What it says of the ring is for those who debug: the ring itself is what counts, and a driver that lies
   * there gains nothing.
   */
  notify(value: number): void {
    this.#lastNotification = value;
    const identity = notifiedIdentity(value, this.#accepted.has(VIRTIO_F_NOTIFICATION_DATA));
    const at = this.#queues.findIndex((queue, index) => queue && this.notificationIdentity(index) === identity);
    const enabled = this.#queues[at];
    if (enabled === undefined) return;
    try {
      this.#notifications.heard(at, enabled.queue, this.#isLive());
    } catch (error) {
      this.#crash(at, error);
    }
    this.run();
  }

  /**
   * Handles everything available that the device has a use for, on every queue: a buffer of one may make it want those
   * of another. The driver can add no more than its queues hold meanwhile, so this ends. An error of the device half is
   * recorded as a fault, and the device asks for a reset.
   */
  run(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      this.#run();
    } catch (error) {
      this.#crash(this.#serving, error);
    } finally {
      this.#isServing = false;
    }
  }

  #run(): void {
    if (this.#frozenAt >= 0 && this.#space.generation !== this.#frozenAt) return this.#fail();
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (let index = 0; index < this.#queues.length; index++) {
        if (!this.#isLive()) return;
        const enabled = this.#queues[index];
        if (enabled !== undefined && !this.#stalled.has(index) && this.#serve(index, enabled)) isBusy = true;
      }
    }
  }

  /**
   * Returns a buffer that the device half kept. One of another queue than that which is being served is shown to the
   * driver at once: before the answer to the request that made the device half return it, such as one to abort a task.
   * Otherwise it is shown when `run` next serves its queue, with all others pushed until then.
   */
  push(index: number, head: number, written: number): void {
    if (written !== written >>> 0) refuseLength('push', written);
    const enabled = this.#queues[index];
    enabled?.queue.push(head, written);
    if (
      this.#isServing &&
      index !== this.#serving &&
      enabled?.queue.flush() === true &&
      this.model.notifies?.(index) !== false
    )
      this.#notify = this.#hasUsed = true;
  }

  /** Records an error that the device half met, as a fault of no access; -1 for none of its queues. */
  report(queue: number, error: unknown): void {
    this.#reported++;
    this.#error ??= { thrown: error };
    const detail = queue < 0 ? describeError(error) : `queue ${queue}: ${describeError(error)}`;
    this.#space.faults.record({ address: 0n, length: 0, access: 'write', cause: 'device-error', detail });
  }

  readConfig(offset: number, target: Uint8Array): void {
    const { config } = this.model;
    if (!(config instanceof Uint8Array)) {
      const what = `of the device half became ${describeValue(config)}, not a Uint8Array`;
      this.#crash(-1, new ContractError('device', 'config', what));
      return;
    }
    for (let i = 0; i < target.length; i++) target[i] = this.#isFrozen ? FROZEN : (config[offset + i] ?? 0);
  }

  /** Ignored while suspended (section 3.4), and where it is not one whole field that the driver may write. */
  writeConfig(offset: number, source: Uint8Array): void {
    if (this.#isFrozen || (this.#status & DeviceStatus.Suspend) !== 0) return;
    const fields = Object.values(this.#options.type.config);
    const field = fields.find((candidate) => candidate.offset === offset && candidate.width === source.length);
    if (field?.isWritable === true) this.#guard(-1, () => this.model.writeConfig?.(offset, source));
  }

  /** Events of the device half that come later are not heard. */
  dispose(): void {
    this.#isDisposed = true;
    this.model.dispose();
  }

  /** Handles what is available and wanted on one queue. Returns whether anything was. */
  #serve(index: number, enabled: EnabledQueue): boolean {
    const { queue, chain } = enabled;
    let isBusy = false;
    this.#serving = index;
    this.#notifications.serves(index, queue);
    do {
      queue.disableNotifications();
      for (let budget = queue.size; budget > 0 && this.model.wants(index) && queue.pop(chain); budget--) {
        isBusy = true;
        const faults = this.#refused;
        const written = this.model.process(index, chain, this.#space, this);
        // Reset from inside, by what it wrote: a queue is not touched after that (section 2.4.1).
        if (this.#queues[index] !== enabled) return isBusy;
        if (this.#options.rogue.length > 0) this.#rogue.afterBuffer();
        if (this.#refused !== faults && this.#applyConsequence(index)) return isBusy;
        if (written === written >>> 0) queue.push(chain.head, written);
        else if (written !== KEPT) refuseLength('process', written);
      }
      if (queue.flush() && this.model.notifies?.(index) !== false) this.#notify = this.#hasUsed = true;
    } while (this.model.wants(index) && !queue.enableNotifications());
    if (queue.broken?.code === 'ring-unreachable') this.#applyConsequence(index);
    else if (queue.broken !== undefined) this.#fail();
    return isBusy;
  }

  /** Applies `onFault` after a fault. Returns whether the device stops serving the queue. */
  #applyConsequence(index: number): boolean {
    switch (this.#options.onFault) {
      case 'needs-reset':
        this.#fail();
        return true;
      case 'stall':
        this.#stalled.add(index);
        return true;
      case 'connection-loss':
        this.#isLost = true;
        return true;
      case 'freeze':
        this.#isFrozen = true;
        return true;
      default:
        return false;
    }
  }

  /** Accesses that the platform refused so far. */
  get #refused(): number {
    return this.#space.faults.count - this.#reported;
  }

  /** The queues that it looks at: none of a device that is frozen, gone or in an error state. */
  #liveQueues(): readonly (DeviceQueue | undefined)[] {
    return this.#isLive() ? this.#queues.map((enabled) => enabled?.queue) : [];
  }

  /** An event of the device half: from inside of one of its methods, or by itself. */
  #hear(react: () => void): void {
    if (this.#isDisposed) return;
    react();
    if (!this.#isServing) this.#options.onEvent?.();
  }

  /** A suspended device keeps the change for itself until it goes on (section 3.4). */
  #changeConfig(): void {
    this.#configGeneration = (this.#configGeneration + 1) & 0xff;
    if ((this.#status & DeviceStatus.Suspend) !== 0) this.#isChangeDeferred = true;
    else if (this.#isLive()) this.#tellConfigChange();
  }

  #tellConfigChange(): void {
    this.#isChangeDeferred = false;
    this.#isConfigChanged = true;
    this.#notify = true;
  }

  /** Calls the device half. An error there is the device's own. */
  #guard(queue: number, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#crash(queue, error);
    }
  }

  #crash(queue: number, error: unknown): void {
    if (error instanceof MisbehaviorSignal) {
      if (error.kind === 'death') this.#isLost = this.#hasDied = true;
      else this.#fail();
      return;
    }
    this.report(queue, error);
    this.#fail();
  }

  /** What is in flight at the first reset is done before it, so that the reset ends what a refused access leads to. */
  #reset(): void {
    this.#guard(-1, () => this.#rogue.beforeReset());
    this.#guard(-1, () => this.#notifications.ends(this.#liveQueues()));
    this.#guard(-1, () => this.model.reset?.());
    this.#longTables = this.longTables;
    if (this.#frozenAt >= 0) this.#space.freeze?.(false);
    this.#frozenAt = -1;
    this.#isFrozen = false;
    this.#stalled.clear();
    this.#queues.length = 0;
    this.#guard(-1, () => this.#space.reset?.());
    this.#status = 0;
    this.#accepted = FeatureSet.EMPTY;
    this.#notify = false;
    this.#hasUsed = false;
    this.#isConfigChanged = false;
    this.#isChangeDeferred = false;
    this.#lastNotification = -1;
  }

  /** Sets DRIVER_OK: of a device that was set up, or of one that was suspended, which goes on where it was. */
  #start(): void {
    if (!this.#mayStart()) return;
    const isSuspended = (this.#status & DeviceStatus.Suspend) !== 0;
    this.#status = (this.#status & ~DeviceStatus.Suspend) | DeviceStatus.DriverOk;
    if (this.#isChangeDeferred) this.#tellConfigChange();
    if (isSuspended) this.run();
    else this.#guard(-1, () => this.#startModel());
  }

  /** Looks once at what {@link DeviceModel.wants} answers, so that a buffer costs no look. */
  #startModel(): void {
    this.model.start(this.#accepted);
    for (let queue = 0; queue < this.#queues.length; queue++) {
      if (this.#queues[queue] === undefined) continue;
      const isWanted: unknown = this.model.wants(queue);
      if (typeof isWanted !== 'boolean')
        throw new ContractError('device', 'wants', `returned ${describeValue(isWanted)}, not true or false`);
    }
  }

  /**
   * Only a device that runs can be suspended. All that was taken from a queue is given back first, and shown (section
   * 3.4).
   */
  #suspend(): void {
    if (!this.#accepted.has(VIRTIO_F_SUSPEND) || !this.#isLive()) return;
    this.run();
    if (this.#isLive()) this.#status = (this.#status & ~DeviceStatus.DriverOk) | DeviceStatus.Suspend;
  }

  /** A legacy device may be used before DRIVER_OK (section 3.1.2). */
  #isLive(): boolean {
    if (this.#isFrozen || this.#isLost || (this.#status & DeviceStatus.NeedsReset) !== 0) return false;
    return this.#options.interface === 'legacy' || (this.#status & DeviceStatus.DriverOk) !== 0;
  }

  /** A modern driver that skips FEATURES_OK has shown nothing of what it accepts. */
  #mayStart(): boolean {
    const isConfirmed = this.#options.interface === 'legacy' || (this.#status & DeviceStatus.FeaturesOk) !== 0;
    return isConfirmed && mayAccept(this.#accepted, this.#options);
  }

  /** Holds the driver to its promise of identity, from FEATURES_OK until reset. */
  #freeze(): void {
    const { experimental } = this.#options;
    if (experimental === undefined || !this.#accepted.has(experimental.identityAddress)) return;
    this.#space.freeze?.(true);
    this.#frozenAt = this.#space.generation;
  }

  /** The error state of section 2.1.2. A legacy driver knows no such status: the device falls silent. */
  #fail(): void {
    this.#status |= DeviceStatus.NeedsReset;
    this.#notify = true;
  }
}

/** Throws {@link ContractError} for what is no number of bytes that a used ring can have: 32 bits. Cold. */
function refuseLength(hook: 'process' | 'push', written: unknown): never {
  const got = `${describeValue(written)}, no number of bytes that were written`;
  throw new ContractError('device', hook, hook === 'push' ? `was given ${got}` : `returned ${got}`);
}
