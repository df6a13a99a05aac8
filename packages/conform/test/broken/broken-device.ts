import {
  DeviceError,
  type BootedMachine,
  type DeviceModel,
  type DeviceProgram,
  type DeviceQueues,
} from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { ForwardingTransport, type Transport, type WaitResult } from '@virtio-platform/core/device';
import { VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX, type FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  ForwardingDeviceQueue,
  type DescriptorChain,
  type DeviceQueue,
  type QueueAddresses,
} from '@virtio-platform/core/queue';
import type { Profile } from '@virtio-platform/profile';

/** Where a bug acts: on what the device took, returned and wrote. */
export interface Bug {
  readonly name: string;
  /** After a buffer was taken. Returns whether the device goes on with it. */
  readonly taken?: (ring: BrokenRing, chain: DescriptorChain) => boolean;
  /** Before a buffer is returned: its used length, or -1 to keep it for ever. */
  readonly returned?: (ring: BrokenRing, head: number, written: number) => number;
  /** After used entries were shown: whether to notify. */
  readonly shown?: (ring: BrokenRing, isWanted: boolean, slots: readonly number[]) => boolean;
  /** After the device asked for notifications. */
  readonly asked?: (ring: BrokenRing) => void;
  /** After nothing was taken. */
  readonly idle?: (ring: BrokenRing) => void;
  /** What replaces methods of the device half. */
  readonly model?: (model: DeviceModel, device: BrokenDevice) => Partial<DeviceModel>;
  /** What the device reaches memory by. */
  readonly space?: (inner: DeviceAddressSpace, device: BrokenDevice) => DeviceAddressSpace;
  /** What stands in front of the registers. */
  readonly transport?: (inner: Transport, device: BrokenDevice) => Transport;
}

/** A shipped device with one bug, or none. */
export class BrokenDevice {
  bug: Bug | undefined;
  readonly rings: (BrokenRing | undefined)[] = [];
  accepted: FeatureSet | undefined;
  memory: GuestMemory | undefined;
  space: DeviceAddressSpace | undefined;
  /** Whatever a bug remembers from one call to the next. */
  count = 0;
  readonly #addresses = new Map<number, QueueAddresses>();
  #isCrashed = false;
  #isWedged = false;

  constructor(bug?: Bug) {
    this.bug = bug;
  }

  /** As if a signal had ended the program that is the device. */
  crash(): void {
    this.#isCrashed = true;
  }

  /** It does nothing any more, not even after a reset. */
  wedge(): void {
    this.#isWedged = true;
  }

  get isCrashed(): boolean {
    return this.#isCrashed;
  }

  get isWedged(): boolean {
    return this.#isWedged || this.#isCrashed;
  }

  /** The profile with the broken device half. */
  profileOf(profile: Profile): Profile {
    const { type } = profile.device;
    const model: typeof type.model = (settings, byteOrder) => {
      const inner = type.model(settings, byteOrder);
      return new BrokenModel(inner, this.bug?.model?.(inner, this) ?? {});
    };
    return { ...profile, device: { ...profile.device, type: { ...type, model } } };
  }

  /** Given to the composition. */
  get watchers(): {
    readonly watchDevice: (space: DeviceAddressSpace) => DeviceAddressSpace;
    readonly watchDeviceQueue: (queue: DeviceQueue, index: number) => DeviceQueue;
  } {
    return {
      watchDevice: (space) => {
        this.memory = space.memory;
        this.space = space;
        // A new program: what was broken in the last one is gone with it.
        this.#isCrashed = false;
        this.#isWedged = false;
        this.rings.length = 0;
        return this.bug?.space?.(space, this) ?? space;
      },
      watchDeviceQueue: (queue, index) =>
        (this.rings[index] = new BrokenRing(queue, this, this.#addresses.get(index)!)),
    };
  }

  wrap(machine: BootedMachine): BootedMachine {
    const hooked = this.bug?.transport?.(machine.transport, this) ?? machine.transport;
    const transport = new RegistersOf(hooked, this, this.#addresses);
    const deviceProgram = (): DeviceProgram => ({
      ending: this.#isCrashed ? 'SIGSEGV' : undefined,
      stderrTail: '',
    });
    return { ...machine, transport, deviceProgram };
  }
}

/** A device half of which some methods are others. */
class BrokenModel implements DeviceModel {
  readonly #inner: DeviceModel;
  readonly #changed: Partial<DeviceModel>;

  constructor(inner: DeviceModel, changed: Partial<DeviceModel>) {
    this.#inner = inner;
    this.#changed = changed;
  }

  get features(): FeatureSet {
    return this.#changed.features ?? this.#inner.features;
  }

  get queueSizes(): readonly number[] {
    return this.#changed.queueSizes ?? this.#inner.queueSizes;
  }

  get config(): Uint8Array {
    return this.#changed.config ?? this.#inner.config;
  }

  writeConfig(offset: number, source: Uint8Array): void {
    (this.#changed.writeConfig ?? this.#inner.writeConfig?.bind(this.#inner))?.(offset, source);
  }

  connect(events: Parameters<NonNullable<DeviceModel['connect']>>[0]): void {
    this.#inner.connect?.(events);
  }

  reset(): void {
    (this.#changed.reset ?? this.#inner.reset?.bind(this.#inner))?.();
  }

  start(accepted: FeatureSet): void {
    this.#inner.start(accepted);
    this.#changed.start?.(accepted);
  }

  wants(queue: number): boolean {
    return this.#inner.wants(queue);
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    return (this.#changed.process ?? this.#inner.process.bind(this.#inner))(queue, chain, space, queues);
  }

  forget(queue: number): void {
    this.#inner.forget(queue);
  }

  dispose(): void {
    this.#inner.dispose();
  }
}

/** Sees what the driver says of its rings, and is gone where the device crashed. */
class RegistersOf extends ForwardingTransport {
  readonly #device: BrokenDevice;
  readonly #addresses: Map<number, QueueAddresses>;

  constructor(inner: Transport, device: BrokenDevice, addresses: Map<number, QueueAddresses>) {
    super(inner);
    this.#device = device;
    this.#addresses = addresses;
  }

  override readStatus(): number {
    this.#check();
    return super.readStatus();
  }

  override writeStatus(status: number): void {
    this.#check();
    super.writeStatus(status);
  }

  override writeDriverFeatures(features: FeatureSet): void {
    this.#device.accepted = features;
    super.writeDriverFeatures(features);
  }

  override enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#check();
    this.#addresses.set(queue, addresses);
    super.enableQueue(queue, addresses);
  }

  override notify(queue: number, next: number): void {
    this.#check();
    super.notify(queue, next);
    this.#check();
  }

  override wait(timeoutMs: number): WaitResult {
    return this.#device.isCrashed ? 'lost' : super.wait(timeoutMs);
  }

  #check(): void {
    if (this.#device.isCrashed) throw new DeviceError('ERR_DEVICE_LOST', 'the device crashed');
  }
}

/** The device's end of a ring, with the bug. */
export class BrokenRing extends ForwardingDeviceQueue {
  readonly device: BrokenDevice;
  readonly layout: 'split' | 'packed';
  readonly eventIdx: boolean;
  /** Byte offsets of the areas in memory. */
  readonly descriptors: number;
  readonly driver: number;
  readonly used: number;
  /** Buffers that were taken since the ring was enabled. */
  taken = 0;
  /** The chain that was taken last. */
  last: DescriptorChain | undefined;
  #pushed = 0;
  /** The flags of the slots before the first buffer of a batch was returned. */
  #before: readonly number[] = [];

  constructor(inner: DeviceQueue, device: BrokenDevice, { words }: QueueAddresses) {
    super(inner);
    this.device = device;
    this.layout = device.accepted?.has(VIRTIO_F_RING_PACKED) === true ? 'packed' : 'split';
    this.eventIdx = device.accepted?.has(VIRTIO_RING_F_EVENT_IDX) === true;
    this.descriptors = this.place(words[0]!, words[1]!);
    this.driver = this.place(words[2]!, words[3]!);
    this.used = this.place(words[4]!, words[5]!);
  }

  /** Where a device address is in memory; -1 where it is not. */
  place(low: number, high: number): number {
    return this.device.space!.borrow(low, high, 1, 'read');
  }

  get memory(): GuestMemory {
    return this.device.memory!;
  }

  /** 16 bits of the device area of a split ring, at a byte offset. */
  usedWord(offset: number): number {
    return Atomics.load(this.memory.u16, (this.used + offset) / 2);
  }

  setUsedWord(offset: number, value: number): void {
    Atomics.store(this.memory.u16, (this.used + offset) / 2, value);
  }

  /** 16 bits of the driver area, at a byte offset. */
  driverWord(offset: number): number {
    return Atomics.load(this.memory.u16, (this.driver + offset) / 2);
  }

  /** Adds to a field of the used entry in a slot: `id` or `length`. */
  change(slot: number, field: 'id' | 'length', by: number): void {
    const { view } = this.memory;
    const isPacked = this.layout === 'packed';
    const at = isPacked ? this.descriptors + 16 * slot + 8 : this.used + 4 + 8 * slot;
    if (field === 'id' && isPacked) view.setUint16(at + 4, view.getUint16(at + 4, true) + by, true);
    else if (field === 'id') view.setUint32(at, view.getUint32(at, true) + by, true);
    else view.setUint32(at + (isPacked ? 0 : 4), view.getUint32(at + (isPacked ? 0 : 4), true) + by, true);
  }

  override pop(chain: DescriptorChain): boolean {
    if (this.device.isWedged) return false;
    const { bug } = this.device;
    if (!super.pop(chain)) {
      bug?.idle?.(this);
      return false;
    }
    this.taken++;
    this.last = chain;
    return bug?.taken?.(this, chain) ?? true;
  }

  override push(head: number, written: number): void {
    const length = this.device.bug?.returned?.(this, head, written) ?? written;
    if (length < 0) return;
    if (this.#pushed === 0) this.#before = this.#flags();
    super.push(head, length);
    this.#pushed++;
  }

  override flush(): boolean {
    if (this.#pushed === 0) return super.flush();
    const { shown } = this.device.bug ?? {};
    const first = this.layout === 'split' ? this.usedWord(2) : 0;
    const isWanted = super.flush();
    const pushed = this.#pushed;
    this.#pushed = 0;
    if (shown === undefined) return isWanted;
    const slots =
      this.layout === 'split'
        ? Array.from({ length: pushed }, (_, i) => (first + i) % this.size)
        : this.#flags().flatMap((flags, slot) => (flags === this.#before[slot] ? [] : [slot]));
    return shown(this, isWanted, slots);
  }

  override enableNotifications(): boolean {
    if (this.device.isWedged) return true;
    const isEmpty = super.enableNotifications();
    this.device.bug?.asked?.(this);
    return isEmpty;
  }

  /** The flags of each slot of a packed ring. */
  #flags(): number[] {
    if (this.layout === 'split') return [];
    return Array.from({ length: this.size }, (_, slot) => this.memory.u16[(this.descriptors + 16 * slot + 14) / 2]!);
  }
}
