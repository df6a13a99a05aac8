import type { AccessWidth, PciBar, PciFunction, Transport } from '@virtio-platform/core/device';
import { DeviceStatus } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { COMMON, NO_VECTOR } from '../../src/pci/common-registers.ts';
import { buildConfiguration, CAPABILITY, STRUCTURE, type Configuration } from './pci-configuration.ts';

/** The places of a function at which an access can be. */
export type Space = 'config' | 'common' | 'isr' | 'device' | 'notify' | 'table' | 'pending' | 'legacy';

/** Where a PCI function is broken: it stands in front of each access, each interrupt and each reset. */
export interface PciBug {
  read?(hardware: PciHardware, space: Space, offset: number, width: number, usual: () => number): number;
  write?(
    hardware: PciHardware,
    space: Space,
    offset: number,
    width: number,
    value: number,
    usual: (value: number) => void,
  ): void;
  /** `queue` is -1 for a change of the configuration. */
  interrupt?(hardware: PciHardware, queue: number, usual: () => void): void;
  reset?(hardware: PciHardware, usual: () => void): void;
  /** Whether a space is on, whatever the command register says. */
  isOn?(hardware: PciHardware, bit: number, what: 'read' | 'write'): boolean | undefined;
  /** What is behind a base address register. */
  bar?(hardware: PciHardware, index: number, usual: PciBar | undefined): PciBar | undefined;
}

/** The registers of one queue. */
export interface QueueRegisters {
  size: number;
  vector: number;
  isEnabled: boolean;
  readonly words: Uint32Array;
}

/** Vectors of the function. */
export const VECTORS_OF_TABLE = 4;
const MULTIPLIER = 4;
const COMMAND = 0x04;
const STATUS = 0x06;
const IO = 1;
const MEMORY = 2;
const MASTER = 4;
const LEGACY_BYTES = 128;
const PAGE = 4096;

/** A transitional virtio function, with all of its registers, around a device that has none. */
export class PciHardware implements PciFunction {
  readonly name = '0000:00:04.0';
  readonly inner: Transport;
  readonly memory: GuestMemory;
  readonly config: Configuration = buildConfiguration(VECTORS_OF_TABLE, MULTIPLIER);
  readonly table: DataView = new DataView(new ArrayBuffer(16 * VECTORS_OF_TABLE));
  bug: PciBug | undefined;
  pending = 0;
  isr = 0;
  deviceSelect = 0;
  driverSelect = 0;
  readonly features: number[] = [0, 0, 0, 0];
  configVector = NO_VECTOR;
  queueSelect = 0;
  queues: QueueRegisters[] = [];
  /** Whatever a bug remembers. */
  count = 0;
  readonly memo: Map<number, number> = new Map();
  /** Whether the reset under way is one of the function. */
  isFunctionReset = false;
  /** What the case does to the device, so that a bug knows where it is. */
  onCrash: () => void = () => {};
  #hasFailed = false;

  constructor(inner: Transport, memory: GuestMemory) {
    this.inner = inner;
    this.memory = memory;
    this.power();
  }

  get status(): number {
    return this.inner.readStatus();
  }

  get isLive(): boolean {
    return (this.status & DeviceStatus.DriverOk) !== 0;
  }

  get hasMsix(): boolean {
    return (this.config.control & 0x8000) !== 0;
  }

  get accepted(): FeatureSet {
    const [a, b, c, d] = this.features.map(BigInt);
    return new FeatureSet(a! | (b! << 32n) | (c! << 64n) | (d! << 96n));
  }

  get queue(): QueueRegisters | undefined {
    return this.queues[this.queueSelect];
  }

  /** As if a signal had ended the program that is the device. */
  crash(): void {
    this.onCrash();
  }

  readConfig(offset: number, width: AccessWidth): number {
    return this.#read('config', offset, width, () => this.#configRead(offset, width));
  }

  writeConfig(offset: number, width: AccessWidth, value: number): void {
    this.#write('config', offset, width, value, (written) => this.#configWrite(offset, width, written));
  }

  openBar(index: number): PciBar | undefined {
    const usual = this.#openBar(index);
    return this.bug?.bar === undefined ? usual : this.bug.bar(this, index, usual);
  }

  #openBar(index: number): PciBar | undefined {
    if (index === 0) {
      return {
        kind: 'io',
        size: LEGACY_BYTES,
        read: (at, width) =>
          this.#isOn(IO, 'read') ? this.#read('legacy', at, width, () => this.#legacyRead(at, width)) : ones(width),
        write: (at, width, value) => {
          if (this.#isOn(IO, 'write')) this.#write('legacy', at, width, value, (v) => this.#legacyWrite(at, width, v));
        },
      };
    }
    if (index === 1) return this.#memoryBar(0x1000, (at) => (at < 0x800 ? ['table', at] : ['pending', at - 0x800]));
    if (index !== 4) return undefined;
    return this.#memoryBar(0x4000, (at) => {
      const { offset } = Object.values(STRUCTURE).findLast((structure) => structure.offset <= at)!;
      const name = (Object.keys(STRUCTURE) as Space[]).find(
        (key) => STRUCTURE[key as keyof typeof STRUCTURE]?.offset === offset,
      )!;
      return [name, at - offset];
    });
  }

  /** An interrupt of a queue, or with -1 of a change of the configuration. */
  interrupt(queue: number): void {
    const usual = (): void => {
      if (queue < 0) this.isr |= 2;
      if (this.hasMsix) this.send(queue < 0 ? this.configVector : (this.queues[queue]?.vector ?? NO_VECTOR));
      else if (queue >= 0) this.isr |= 1;
    };
    const { bug } = this;
    if (bug?.interrupt === undefined) usual();
    else bug.interrupt(this, queue, usual);
  }

  /** Sends the message of a vector, or remembers that it is pending. */
  send(vector: number): void {
    if (vector >= VECTORS_OF_TABLE || !this.#isOn(MASTER)) return;
    if (this.isMasked(vector)) this.pending |= 1 << vector;
    else this.message(vector);
  }

  isMasked(vector: number): boolean {
    return (this.config.control & 0x4000) !== 0 || (this.table.getUint32(16 * vector + 12, true) & 1) !== 0;
  }

  /** Writes the message of a vector, masked or not. */
  message(vector: number): void {
    const low = this.table.getUint32(16 * vector, true);
    const high = this.table.getUint32(16 * vector + 4, true);
    const data = this.table.getUint32(16 * vector + 8, true);
    if (high === 0 && low + 4 <= this.memory.size) this.memory.view.setUint32(low, data, true);
  }

  /** All registers as they are after a reset of the device. */
  resetRegisters(): void {
    this.deviceSelect = this.driverSelect = this.queueSelect = 0;
    this.features.fill(0);
    this.configVector = NO_VECTOR;
    this.isr = 0;
    this.#hasFailed = false;
    this.queues = Array.from({ length: this.inner.queueCount }, (_, queue) => ({
      size: this.inner.maxQueueSize(queue),
      vector: NO_VECTOR,
      isEnabled: false,
      words: new Uint32Array(6),
    }));
  }

  /** All registers as they are when power comes, those of MSI-X too. */
  power(): void {
    for (let vector = 0; vector < VECTORS_OF_TABLE; vector++) this.table.setUint32(16 * vector + 12, 1, true);
    this.pending = 0;
    this.resetRegisters();
  }

  /** Resets the device: by status 0, or by its function. */
  reset(): void {
    const usual = (): void => {
      this.inner.writeStatus(0);
      this.resetRegisters();
    };
    const { bug } = this;
    if (bug?.reset === undefined) usual();
    else bug.reset(this, usual);
  }

  writeStatus(value: number): void {
    if (value === 0) this.reset();
    else this.inner.writeStatus(value);
    this.#look();
  }

  /** Sends a notification of the driver to the device. */
  kick(queue: number, next = 0): void {
    if (!this.#isOn(MASTER) || this.queues[queue] === undefined) return;
    this.inner.notify(queue, next);
    this.#look();
  }

  commonRead(offset: number): number {
    const { queue } = this;
    const words = queue?.words;
    switch (offset) {
      case COMMON.deviceFeatureSelect.offset:
        return this.deviceSelect;
      case COMMON.deviceFeature.offset:
        return word(this.inner.readDeviceFeatures(), this.deviceSelect);
      case COMMON.driverFeatureSelect.offset:
        return this.driverSelect;
      case COMMON.driverFeature.offset:
        return this.features[this.driverSelect] ?? 0;
      case COMMON.configVector.offset:
        return this.configVector;
      case COMMON.numQueues.offset:
        return this.queues.length;
      case COMMON.status.offset:
        return this.status;
      case COMMON.generation.offset:
        return this.inner.configGeneration();
      case COMMON.queueSelect.offset:
        return this.queueSelect;
      case COMMON.queueSize.offset:
        return queue?.size ?? 0;
      case COMMON.queueVector.offset:
        return queue?.vector ?? NO_VECTOR;
      case COMMON.queueEnable.offset:
        return queue?.isEnabled === true ? 1 : 0;
      case COMMON.queueNotifyOff.offset:
        return queue === undefined ? 0 : this.queueSelect;
      case COMMON.notifyData.offset:
        return this.#identity(this.queueSelect);
      default:
        return words?.[(offset - COMMON.descriptorLow.offset) / 4] ?? 0;
    }
  }

  commonWrite(offset: number, value: number): void {
    const { queue } = this;
    const area = (offset - COMMON.descriptorLow.offset) / 4;
    if (offset === COMMON.deviceFeatureSelect.offset) this.deviceSelect = value;
    else if (offset === COMMON.driverFeatureSelect.offset) this.driverSelect = value;
    else if (offset === COMMON.driverFeature.offset) this.#writeFeatures(value);
    else if (offset === COMMON.configVector.offset) this.configVector = vectorOf(value);
    else if (offset === COMMON.status.offset) this.writeStatus(value);
    else if (offset === COMMON.queueSelect.offset) this.queueSelect = value;
    else if (queue === undefined) return;
    else if (offset === COMMON.queueSize.offset) queue.size = value;
    else if (offset === COMMON.queueVector.offset) queue.vector = vectorOf(value);
    else if (offset === COMMON.queueEnable.offset) this.#enable(queue, value);
    else if (offset === COMMON.queueReset.offset) this.resetQueue(value);
    else if (Number.isInteger(area) && area >= 0 && area < 6) queue.words[area] = value;
  }

  /** Resets the queue that is selected. */
  resetQueue(value: number): void {
    const { queue } = this;
    if (queue === undefined || value !== 1 || !this.accepted.has(VIRTIO_F_RING_RESET)) return;
    this.inner.resetQueue(this.queueSelect);
    Object.assign(queue, { size: this.inner.maxQueueSize(this.queueSelect), vector: NO_VECTOR, isEnabled: false });
    queue.words.fill(0);
  }

  #enable(queue: QueueRegisters, value: number): void {
    if (value !== 1) return;
    this.inner.enableQueue(this.queueSelect, { size: queue.size, words: queue.words.slice() });
    queue.isEnabled = true;
    this.#look();
  }

  #writeFeatures(value: number): void {
    if (this.driverSelect >= this.features.length) return;
    this.features[this.driverSelect] = value;
    this.inner.writeDriverFeatures(this.accepted);
  }

  /** What names a queue in notifications. */
  #identity(queue: number): number {
    return this.accepted.has(VIRTIO_F_NOTIF_CONFIG_DATA) ? 0x100 + queue : queue;
  }

  #notify(value: number): void {
    const withData = this.accepted.has(VIRTIO_F_NOTIFICATION_DATA);
    const queue = this.queues.findIndex((_, index) => this.#identity(index) === (value & 0xffff));
    this.kick(queue, withData ? value >>> 16 : 0);
  }

  /** Tells of a device that came to ask for a reset, or whose configuration changed. */
  #look(): void {
    const { inner } = this;
    const hasFailed = (this.status & DeviceStatus.NeedsReset) !== 0;
    const isNew = hasFailed && !this.#hasFailed && this.isLive;
    this.#hasFailed = hasFailed;
    inner.wait(0);
    const isChanged = inner.takeConfigChange?.() === true;
    if (isNew || isChanged) this.interrupt(-1);
  }

  #isOn(bit: number, what: 'read' | 'write' = 'write'): boolean {
    const asBroken = this.bug?.isOn?.(this, bit, what);
    return asBroken ?? (this.config.command & bit) !== 0;
  }

  #memoryBar(size: number, place: (at: number) => readonly [Space, number]): PciBar {
    return {
      kind: 'memory',
      size,
      read: (at, width) => {
        if (!this.#isOn(MEMORY, 'read')) return ones(width);
        const [space, offset] = place(at);
        return this.#read(space, offset, width, () => this.#spaceRead(space, offset, width));
      },
      write: (at, width, value) => {
        if (!this.#isOn(MEMORY, 'write')) return;
        const [space, offset] = place(at);
        this.#write(space, offset, width, value, (written) => this.#spaceWrite(space, offset, width, written));
      },
    };
  }

  #read(space: Space, offset: number, width: number, usual: () => number): number {
    // A device that crashed is gone from the next access on.
    this.inner.readStatus();
    const { bug } = this;
    return bug?.read === undefined ? usual() : bug.read(this, space, offset, width, usual);
  }

  #write(space: Space, offset: number, width: number, value: number, usual: (value: number) => void): void {
    this.inner.readStatus();
    const { bug } = this;
    if (bug?.write === undefined) usual(value);
    else bug.write(this, space, offset, width, value, usual);
  }

  #spaceRead(space: Space, offset: number, width: number): number {
    if (space === 'common') return narrow((at) => this.commonRead(at), offset, width, COMMON_WIDTHS);
    if (space === 'isr') return offset === 0 ? this.takeIsr() : 0;
    if (space === 'device') return this.deviceConfig(offset, width);
    if (space === 'table') return offset + 4 <= this.table.byteLength ? this.table.getUint32(offset & ~3, true) : 0;
    if (space === 'pending') return offset === 0 ? this.pending : 0;
    return 0;
  }

  #spaceWrite(space: Space, offset: number, width: number, value: number): void {
    if (space === 'common') {
      if (COMMON_WIDTHS.get(offset) === width) this.commonWrite(offset, value);
    } else if (space === 'device') {
      const bytes = Uint8Array.from({ length: width }, (_, i) => (value >>> (8 * i)) & 0xff);
      this.inner.writeConfig(offset, bytes);
      this.#look();
    } else if (space === 'table' && width === 4 && offset + 4 <= this.table.byteLength) {
      this.table.setUint32(offset, value, true);
      this.sendPending();
    } else if (space === 'notify' && offset < MULTIPLIER * this.queues.length) {
      const isWhole = width === (this.accepted.has(VIRTIO_F_NOTIFICATION_DATA) ? 4 : 2);
      if (isWhole) this.#notify(value);
    }
  }

  deviceConfig(offset: number, width: number): number {
    const bytes = new Uint8Array(width);
    this.inner.readConfig(offset, bytes);
    return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
  }

  takeIsr(): number {
    const { isr } = this;
    this.isr = 0;
    return isr;
  }

  /** Sends the messages that were pending, of vectors that are masked no more. */
  sendPending(): void {
    if (!this.hasMsix) return;
    for (let vector = 0; vector < VECTORS_OF_TABLE; vector++) {
      if ((this.pending & (1 << vector)) === 0 || this.isMasked(vector)) continue;
      this.pending &= ~(1 << vector);
      this.message(vector);
    }
  }

  #configRead(offset: number, width: number): number {
    const window = CAPABILITY.window + 16;
    if (offset >= window && offset < window + 4) {
      const { bar, at, length } = this.config.window;
      const target = [1, 2, 4].includes(length) && bar <= 5 ? this.openBar(bar) : undefined;
      if (target !== undefined && at % length === 0 && at + length <= target.size)
        this.config.setWindowData(length, target.read(at, length as AccessWidth));
    }
    const value = this.config.read(offset, width);
    const isInterrupting = !this.hasMsix && this.isr !== 0;
    return offset <= STATUS && offset + width > STATUS && isInterrupting
      ? value | (8 << (8 * (STATUS - offset)))
      : value;
  }

  #configWrite(offset: number, width: number, value: number): void {
    this.config.write(offset, width, value);
    const window = CAPABILITY.window + 16;
    if (offset >= window && offset < window + 4) {
      const { bar, at, length } = this.config.window;
      const target = [1, 2, 4].includes(length) && bar <= 5 ? this.openBar(bar) : undefined;
      if (target !== undefined && at % length === 0 && at + length <= target.size)
        target.write(at, length as AccessWidth, this.config.read(window, length));
    }
    if (offset <= CAPABILITY.msix + 3 && offset + width > CAPABILITY.msix + 2) this.sendPending();
    if (this.config.takeFunctionReset()) {
      this.isFunctionReset = true;
      this.reset();
      this.isFunctionReset = false;
      this.power();
      this.config.write(COMMAND, 2, 0);
      this.config.write(CAPABILITY.msix + 2, 2, 0);
    }
  }

  /** The legacy registers: a driver behind them has the same device, with little-endian fields. */
  #legacyRead(offset: number, width: number): number {
    const start = this.hasMsix ? 24 : 20;
    if (offset >= start) return this.deviceConfig(offset - start, width);
    switch (offset) {
      case 0:
        return word(this.inner.readDeviceFeatures(), 0);
      case 4:
        return this.features[0]!;
      case 8:
        return this.queue?.isEnabled === true ? Math.floor(this.queue.words[0]! / PAGE) : 0;
      case 12:
        return this.queue === undefined ? 0 : this.inner.maxQueueSize(this.queueSelect);
      case 14:
        return this.queueSelect;
      case 18:
        return this.status & ~DeviceStatus.FeaturesOk;
      case 19:
        return this.takeIsr();
      case 20:
        return this.configVector;
      case 22:
        return this.queue?.vector ?? NO_VECTOR;
      default:
        return 0;
    }
  }

  #legacyWrite(offset: number, width: number, value: number): void {
    const { queue } = this;
    const start = this.hasMsix ? 24 : 20;
    if (offset >= start) {
      const bytes = Uint8Array.from({ length: width }, (_, i) => (value >>> (8 * i)) & 0xff);
      this.inner.writeConfig(offset - start, bytes);
    } else if (offset === 4) {
      this.features[0] = value;
    } else if (offset === 8 && queue !== undefined) {
      this.#legacyQueue(queue, value);
    } else if (offset === 14) {
      this.queueSelect = value;
    } else if (offset === 16) {
      this.kick(value);
    } else if (offset === 18) {
      if ((value & DeviceStatus.DriverOk) !== 0) this.legacyStart();
      this.writeStatus(value);
    } else if (offset === 20) {
      this.configVector = vectorOf(value);
    } else if (offset === 22 && queue !== undefined) {
      queue.vector = vectorOf(value);
    }
  }

  /** What a modern driver says before DRIVER_OK, in the name of a legacy one. */
  legacyStart(): void {
    const features = new FeatureSet(BigInt(this.features[0]!)).with(VIRTIO_F_VERSION_1);
    this.inner.writeDriverFeatures(features);
    this.inner.writeStatus(this.status | DeviceStatus.FeaturesOk);
    for (const [index, { isEnabled, words }] of this.queues.entries()) {
      if (isEnabled) this.inner.enableQueue(index, { size: this.inner.maxQueueSize(index), words: words.slice() });
    }
  }

  #legacyQueue(queue: QueueRegisters, frame: number): void {
    const size = this.inner.maxQueueSize(this.queueSelect);
    const base = frame * PAGE;
    const available = base + 16 * size;
    const used = Math.ceil((available + 6 + 2 * size) / PAGE) * PAGE;
    queue.words.set([base, 0, available, 0, used, 0]);
    queue.isEnabled = frame !== 0;
  }
}

const COMMON_WIDTHS: ReadonlyMap<number, number> = new Map(
  Object.values(COMMON).map(({ offset, width }) => [offset, width]),
);

/** A read of a part of a register, or of several. */
function narrow(read: (at: number) => number, offset: number, width: number, widths: typeof COMMON_WIDTHS): number {
  return widths.get(offset) === width ? read(offset) : 0;
}

function word(features: FeatureSet, select: number): number {
  return select < 4 ? Number(BigInt.asUintN(32, features.bits >> BigInt(32 * select))) : 0;
}

function vectorOf(value: number): number {
  return value < VECTORS_OF_TABLE ? value : NO_VECTOR;
}

function ones(width: number): number {
  return 2 ** (8 * width) - 1;
}
