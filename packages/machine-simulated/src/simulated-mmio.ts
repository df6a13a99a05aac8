import type { DeviceTypePlugin } from '@virtio-platform/core';
import type { DeviceInterface } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_RESET } from '@virtio-platform/core/features';
import { splitLayout } from '@virtio-platform/core/queue';
import {
  MMIO,
  MMIO_QUEUE_AREAS,
  MMIO_INTERRUPT_CONFIG,
  MMIO_INTERRUPT_USED,
  MMIO_MAGIC,
  MMIO_VERSION_LEGACY,
  MMIO_VERSION_MODERN,
  type AccessWidth,
  type MmioRegisters,
  type MmioSignal,
} from '@virtio-platform/mmio';
import { DriverListener } from './driver-listener.ts';
import { presentDevice } from './present-device.ts';
import type { SimulatedDevice } from './simulated-device.ts';

/** Bytes of device configuration behind the control registers, as on QEMU's machines. */
const CONFIG_BYTES = 0x100;
/** What every register of a frozen device reads as. */
const ALL_ONES = 0xffff_ffff;
/** The status of a frozen device. */
const FROZEN = 0xff;
const MOST_ENTRIES = 32768;
const FEATURE_WORDS = 4;

/** What the driver wrote for one queue. */
interface QueueRegisters {
  size: number;
  align: number;
  /** QueueReady, or QueuePFN on the legacy interface: what was written last, until a reset. */
  enabled: number;
  /** Addresses of the three areas, each as low and high word. */
  readonly words: Uint32Array;
}

/** The registers of a device of the embedded machine, as virtio-mmio has them, modern or legacy. */
export class SimulatedMmio implements MmioRegisters {
  readonly name = 'the virtio-mmio device of the embedded machine';
  readonly size: number = MMIO.Config + CONFIG_BYTES;
  /** Nothing happens in this thread while the driver waits. */
  readonly signal: Required<MmioSignal>;
  readonly #device: SimulatedDevice;
  readonly #type: Pick<DeviceTypePlugin, 'id' | 'config'>;
  readonly #isLegacy: boolean;
  readonly #listener: DriverListener;
  readonly #selected = new Map<number, number>();
  readonly #driverFeatures = new Uint32Array(FEATURE_WORDS);
  #queues = new Map<number, QueueRegisters>();
  #interrupts = 0;

  constructor(
    device: SimulatedDevice,
    type: Pick<DeviceTypePlugin, 'id' | 'config'>,
    deviceInterface: DeviceInterface,
  ) {
    this.#device = device;
    this.#type = type;
    this.#isLegacy = deviceInterface === 'legacy';
    this.#listener = new DriverListener(device);
    this.signal = {
      wait: () => this.#interrupts !== 0 || device.hasNotification || device.isLost,
      watch: (listener) => this.#listener.watch(listener),
    };
  }

  /** See {@link DriverListener.tell}. */
  tellDriver(): void {
    this.#listener.tell();
  }

  read(offset: number, width: AccessWidth): number {
    const device = presentDevice(this.#device);
    if (offset >= MMIO.Config) return this.#readConfig(offset - MMIO.Config, width);
    if (device.status === FROZEN) return ALL_ONES;
    // A control register has 32 bits: QEMU answers other accesses with zeros too.
    return width === 4 ? this.#read(device, offset) >>> 0 : 0;
  }

  write(offset: number, width: AccessWidth, value: number): void {
    const device = presentDevice(this.#device);
    if (offset >= MMIO.Config) this.#writeConfig(offset - MMIO.Config, width, value);
    else if (width === 4) this.#write(device, offset, value);
    this.#listener.tell();
  }

  dispose(): void {
    this.#listener.end();
    this.#device.dispose();
  }

  #read(device: SimulatedDevice, offset: number): number {
    switch (offset) {
      case MMIO.MagicValue:
        return MMIO_MAGIC;
      case MMIO.Version:
        return this.#isLegacy ? MMIO_VERSION_LEGACY : MMIO_VERSION_MODERN;
      case MMIO.DeviceID:
        return this.#type.id;
      case MMIO.DeviceFeatures:
        return this.#featureWord(device);
      case MMIO.QueueNumMax:
        return device.maxQueueSize(this.#queue);
      case this.#enableRegister:
        return this.#queues.get(this.#queue)?.enabled ?? 0;
      case MMIO.InterruptStatus:
        return this.#collectInterrupts(device);
      case MMIO.Status:
        return device.status;
      case MMIO.SHMLenLow:
      case MMIO.SHMLenHigh:
      case MMIO.SHMBaseLow:
      case MMIO.SHMBaseHigh:
        return ALL_ONES;
      case MMIO.ConfigGeneration:
        return this.#isLegacy ? 0 : device.configGeneration;
      default:
        return 0;
    }
  }

  #write(device: SimulatedDevice, offset: number, value: number): void {
    const queue = this.#queue;
    const area = MMIO_QUEUE_AREAS.indexOf(offset);
    if (area >= 0) this.#of(queue).words[area] = value;
    else if (offset === MMIO.DriverFeatures) this.#writeFeatures(device, value);
    else if (offset === MMIO.QueueNum) this.#of(queue).size = value;
    else if (offset === MMIO.QueueAlign) this.#of(queue).align = value;
    else if (offset === this.#enableRegister) this.#enable(device, queue, value);
    else if (offset === MMIO.QueueReset) this.#resetQueue(device, queue, value);
    else if (offset === MMIO.QueueNotify) device.notify(value);
    else if (offset === MMIO.InterruptACK) this.#interrupts &= ~value;
    else if (offset === MMIO.Status) this.#writeStatus(device, value);
    else this.#selected.set(offset, value);
  }

  /** QueueReady, or what a legacy device has instead. */
  get #enableRegister(): number {
    return this.#isLegacy ? MMIO.QueuePFN : MMIO.QueueReady;
  }

  /** The selected queue. */
  get #queue(): number {
    return this.#selected.get(MMIO.QueueSel) ?? 0;
  }

  #of(queue: number): QueueRegisters {
    let registers = this.#queues.get(queue);
    if (registers === undefined) {
      registers = { size: 0, align: 0, enabled: 0, words: new Uint32Array(MMIO_QUEUE_AREAS.length) };
      // What names no queue of the device is forgotten at once, so that no driver makes this grow.
      if (this.#device.maxQueueSize(queue) !== 0) this.#queues.set(queue, registers);
    }
    return registers;
  }

  #featureWord({ features }: SimulatedDevice): number {
    const word = this.#selected.get(MMIO.DeviceFeaturesSel) ?? 0;
    if (word >= (this.#isLegacy ? 1 : FEATURE_WORDS)) return 0;
    return Number(BigInt.asUintN(32, features.bits >> BigInt(32 * word)));
  }

  #writeFeatures(device: SimulatedDevice, value: number): void {
    const word = this.#selected.get(MMIO.DriverFeaturesSel) ?? 0;
    if (word >= (this.#isLegacy ? 1 : FEATURE_WORDS)) return;
    this.#driverFeatures[word] = value;
    device.writeFeatures(this.#accepted);
  }

  get #accepted(): FeatureSet {
    return new FeatureSet(this.#driverFeatures.reduceRight((bits, word) => (bits << 32n) | BigInt(word), 0n));
  }

  #enable(device: SimulatedDevice, queue: number, value: number): void {
    const registers = this.#of(queue);
    registers.enabled = value;
    if (value === 0) return device.disableQueue(queue);
    const words = this.#isLegacy ? this.#legacyWords(registers) : registers.words.slice();
    device.enableQueue(queue, { size: registers.size, words });
  }

  /** All areas of a legacy queue follow from one page frame number; none where the driver wrote what cannot be. */
  #legacyWords({ size, align, enabled: frame }: QueueRegisters): Uint32Array {
    const pageSize = this.#selected.get(MMIO.GuestPageSize) ?? 0;
    const words = new Uint32Array(MMIO_QUEUE_AREAS.length);
    if (![size, align, pageSize].every(isPowerOfTwo) || size > MOST_ENTRIES) return words;
    const { driverOffset, deviceOffset } = splitLayout(size, align);
    [0, driverOffset, deviceOffset].forEach((offset, area) => {
      const address = frame * pageSize + offset;
      words[2 * area] = address % 2 ** 32;
      words[2 * area + 1] = Math.floor(address / 2 ** 32);
    });
    return words;
  }

  #resetQueue(device: SimulatedDevice, queue: number, value: number): void {
    if (value !== 1 || !this.#accepted.has(VIRTIO_F_RING_RESET)) return;
    device.resetQueue(queue);
    this.#of(queue).enabled = 0;
  }

  #writeStatus(device: SimulatedDevice, status: number): void {
    device.writeStatus(status & 0xff);
    if (status !== 0) return;
    this.#queues = new Map();
    this.#driverFeatures.fill(0);
    this.#interrupts = 0;
  }

  /** The bits stay until they are acknowledged. A device that asks for a reset notifies of its configuration. */
  #collectInterrupts(device: SimulatedDevice): number {
    const isNotified = device.takeNotification();
    const isUsed = device.takeUsedNotification();
    const isChanged = device.takeConfigChange();
    if (isUsed) this.#interrupts |= MMIO_INTERRUPT_USED;
    if (isChanged || (isNotified && !isUsed)) this.#interrupts |= MMIO_INTERRUPT_CONFIG;
    return this.#interrupts;
  }

  #readConfig(at: number, width: AccessWidth): number {
    const bytes = new Uint8Array(width);
    this.#device.readConfig(at, bytes);
    return bytes.reduceRight((value, byte) => value * 0x100 + byte, 0);
  }

  /** A legacy driver writes a field byte by byte: each changes a part of it. */
  #writeConfig(at: number, width: AccessWidth, value: number): void {
    const source = Uint8Array.from({ length: width }, (_, byte) => (value >>> (8 * byte)) & 0xff);
    const field = Object.values(this.#type.config).find(
      (each) => each.isWritable === true && at >= each.offset && at + width <= each.offset + each.width,
    );
    if (field === undefined) return;
    const whole = new Uint8Array(field.width);
    this.#device.readConfig(field.offset, whole);
    whole.set(source, at - field.offset);
    this.#device.writeConfig(field.offset, whole);
  }
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
