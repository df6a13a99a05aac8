import {
  DescriptorChain,
  DeviceStatus,
  FeatureSet,
  isContradictory,
  openDeviceQueue,
  PAGE_SIZE,
  unmetDependency,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  type ByteOrder,
  type DeviceAddressSpace,
  type DeviceInterface,
  type DeviceQueue,
  type DriverPrivilege,
  type ExperimentalBits,
  type QueueAddresses,
} from '@virtio-platform/core';
import { KEPT, type DeviceModel, type DeviceQueues } from '@virtio-platform/devices';
import type { RogueAccess, SimulatedOptions } from './options.ts';

export interface SimulatedDeviceOptions {
  /** The interface the driver uses. */
  readonly interface: DeviceInterface;
  readonly offers: FeatureSet;
  readonly byteOrder: ByteOrder;
  readonly onFault: SimulatedOptions['onFault'];
  readonly rogue: readonly RogueAccess[];
  /** Bits without which it does not work. */
  readonly demands: bigint;
  /** Who its host handed it to. */
  readonly driverPrivilege: DriverPrivilege;
  /** The numbers of the two features of 2019, where it knows them. */
  readonly experimental: ExperimentalBits | undefined;
  /** Looks whether the device reaches all of memory at its physical addresses. */
  readonly isOneToOne: () => boolean;
}

interface EnabledQueue {
  readonly queue: DeviceQueue;
  readonly chain: DescriptorChain;
}

/**
 * The registers of a virtio device and its queues, around a device half. Accepts a driver's feature set only when it may
 * (specification 1.4 section 2.2.2): no unoffered bit, no unmet dependency, and ACCESS_PLATFORM where it is offered, as QEMU
 * demands. Its address space was bound by what it offers, and nothing a driver does changes that.
 */
export class SimulatedDevice implements DeviceQueues {
  readonly model: DeviceModel;
  readonly #options: SimulatedDeviceOptions;
  readonly #space: DeviceAddressSpace;
  /** By index. */
  readonly #queues: (EnabledQueue | undefined)[] = [];
  readonly #rogueBytes = new Uint8Array(PAGE_SIZE).fill(0xa5);
  #accepted = FeatureSet.EMPTY;
  #status = 0;
  /** Generation of the translations that the driver promised not to change; -1 while it promised nothing. */
  #frozenAt = -1;
  #handled = 0;
  #notify = false;

  /** Owns `model`. */
  constructor(model: DeviceModel, space: DeviceAddressSpace, options: SimulatedDeviceOptions) {
    this.model = model;
    this.#space = space;
    this.#options = options;
  }

  get features(): FeatureSet {
    return this.#options.offers;
  }

  get status(): number {
    return this.#status;
  }

  /** Whether a used buffer or configuration change notification was sent since the last call. */
  takeNotification(): boolean {
    const notify = this.#notify;
    this.#notify = false;
    return notify;
  }

  /** Ignored after FEATURES_OK: features change only through a reset (section 2.2). */
  writeFeatures(features: FeatureSet): void {
    if ((this.#status & DeviceStatus.FeaturesOk) === 0) this.#accepted = features;
  }

  writeStatus(status: number): void {
    if (status === 0) return this.#reset();
    const set = status & ~this.#status;
    this.#status |= status & ~(DeviceStatus.FeaturesOk | DeviceStatus.DriverOk | DeviceStatus.NeedsReset);
    if ((set & DeviceStatus.FeaturesOk) !== 0 && this.#mayAccept()) {
      this.#status |= DeviceStatus.FeaturesOk;
      this.#freeze();
    }
    if ((set & DeviceStatus.DriverOk) !== 0 && this.#mayStart()) {
      this.#status |= DeviceStatus.DriverOk;
      this.model.start(this.#accepted);
    }
  }

  maxQueueSize(queue: number): number {
    return this.model.queueSizes[queue] ?? 0;
  }

  /** A queue that may not be enabled stays as it is, and the device asks for a reset: also one that is enabled already. */
  enableQueue(index: number, addresses: QueueAddresses): void {
    try {
      if (addresses.size > this.maxQueueSize(index))
        throw new RangeError(`queue ${index} has no ${addresses.size} entries`);
      if (this.#queues[index] !== undefined) throw new RangeError(`queue ${index} is enabled already`);
      const layout = this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
      const queue = openDeviceQueue(layout, this.#space, {
        addresses,
        eventIdx: this.#accepted.has(VIRTIO_RING_F_EVENT_IDX),
        indirect: this.#accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
        inOrder: this.#accepted.has(VIRTIO_F_IN_ORDER),
        byteOrder: this.#options.byteOrder,
      });
      this.#queues[index] = { queue, chain: new DescriptorChain(addresses.size) };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#fail();
    }
  }

  /**
   * Handles everything available that the device has a use for, on every queue: a buffer of one may make it want those of another.
   * The driver can add no more than its queues hold meanwhile, so this ends.
   */
  run(): void {
    if (this.#frozenAt >= 0 && this.#space.generation !== this.#frozenAt) return this.#fail();
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (let index = 0; index < this.#queues.length; index++) {
        if (!this.#isLive()) return;
        const enabled = this.#queues[index];
        if (enabled !== undefined && this.#serve(index, enabled)) isBusy = true;
      }
    }
  }

  /** Returns a buffer that the device half kept; shown to the driver when `run` next serves its queue, with all others pushed until then. */
  push(index: number, head: number, written: number): void {
    this.#queues[index]?.queue.push(head, written);
  }

  dispose(): void {
    this.model.dispose();
  }

  /** Handles what is available and wanted on one queue. Returns whether anything was. */
  #serve(index: number, { queue, chain }: EnabledQueue): boolean {
    let isBusy = false;
    do {
      queue.disableNotifications();
      for (let budget = queue.size; budget > 0 && this.model.wants(index) && queue.pop(chain); budget--) {
        isBusy = true;
        const faults = this.#space.faults.count;
        const written = this.model.process(index, chain, this.#space, this);
        if (this.#options.rogue.length > 0) this.#misbehave();
        if (written !== KEPT) queue.push(chain.head, written);
        if (this.#space.faults.count !== faults && this.#options.onFault === 'needs-reset') {
          this.#fail();
          return isBusy;
        }
      }
      if (queue.flush()) this.#notify = true;
    } while (this.model.wants(index) && !queue.enableNotifications());
    if (queue.broken !== undefined) this.#fail();
    return isBusy;
  }

  #reset(): void {
    if (this.#frozenAt >= 0) this.#space.freeze?.(false);
    this.#frozenAt = -1;
    this.#queues.length = 0;
    this.#status = 0;
    this.#accepted = FeatureSet.EMPTY;
    this.#notify = false;
  }

  /** A legacy device may be used before DRIVER_OK (section 3.1.2). */
  #isLive(): boolean {
    if ((this.#status & DeviceStatus.NeedsReset) !== 0) return false;
    return this.#options.interface === 'legacy' || (this.#status & DeviceStatus.DriverOk) !== 0;
  }

  /** A modern driver that skips FEATURES_OK has shown nothing of what it accepts. */
  #mayStart(): boolean {
    const isConfirmed = this.#options.interface === 'legacy' || (this.#status & DeviceStatus.FeaturesOk) !== 0;
    return isConfirmed && this.#mayAccept();
  }

  #mayAccept(): boolean {
    const { offers, demands, experimental } = this.#options;
    if (this.#accepted.minus(offers).bits !== 0n || (demands & ~this.#accepted.bits) !== 0n) return false;
    if (unmetDependency(this.#accepted, this.model.type, experimental) !== undefined) return false;
    if (experimental !== undefined && !this.#mayAcceptExperimental(experimental)) return false;
    if (this.#options.interface === 'legacy') return true;
    if (offers.has(VIRTIO_F_ACCESS_PLATFORM) && !this.#accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return false;
    return this.#accepted.has(VIRTIO_F_VERSION_1);
  }

  /**
   * The device's own half of the two features of 2019. It trusts no promise of a driver: an unprivileged one gets neither, and
   * identity is looked at.
   */
  #mayAcceptExperimental(bits: ExperimentalBits): boolean {
    const isIdentity = this.#accepted.has(bits.identityAddress);
    if (!isIdentity && !this.#accepted.has(bits.noTranslation)) return true;
    if (isContradictory(this.#accepted, bits) || this.#options.driverPrivilege !== 'kernel') return false;
    return !isIdentity || this.#options.isOneToOne();
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

  #misbehave(): void {
    this.#handled++;
    for (const { after, access, address, length } of this.#options.rogue) {
      if (after !== this.#handled) continue;
      const low = Number(address & 0xffff_ffffn);
      const high = Number(address >> 32n);
      if (access === 'read') this.#space.read(low, high, new Uint8Array(length), 0, length);
      else this.#space.write(low, high, this.#rogueBytes, 0, length);
    }
  }
}
