import { DeviceError } from '@virtio-platform/core';
import {
  DeviceStatus,
  shortConfiguration,
  type DeviceInterface,
  type Transport,
  type WaitResult,
} from '@virtio-platform/core/device';
import { FeatureSet } from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { identifyMmioDevice } from './mmio-identity.ts';
import { MMIO, type AccessWidth, type MmioRegisters } from './mmio-registers.ts';
import { MmioInterrupts, type MmioSignal } from './mmio-interrupts.ts';

/** How a device is driven. */
export interface MmioTransportOptions {
  /** Features that the driver does not see. */
  readonly hidden?: FeatureSet | undefined;
  /** The interrupt signal. InterruptStatus is polled unless given. */
  readonly signal?: MmioSignal | undefined;
  /** See `Transport.unmarkedLengths`. */
  readonly unmarkedLengths?: boolean | undefined;
}

/** There is no number of queues. The queues up to the first without entries exist, at most this many. */
const MOST_QUEUES = 1024;
/** The longest queue that the specification has (sections 2.7 and 2.8). */
const MOST_ENTRIES = 32768;
/** What a bus answers for a device that is frozen or unplugged. */
const ALL_ONES = 0xffff_ffff;

/** What both interfaces of a virtio-mmio device have in common. Each value from a register is checked. */
export abstract class MmioTransport implements Transport {
  abstract readonly interface: DeviceInterface;
  abstract readonly carries: FeatureSet;
  readonly deviceId: number;
  readonly unmarkedLengths: boolean | undefined;
  protected readonly registers: MmioRegisters;
  /** Features that the driver does not see. */
  protected readonly hidden: FeatureSet;
  /**
   * Queues that the driver enabled since the reset. One that it enables a second time, against the rules, is enabled
   * already by its own doing, and not by that of the device.
   */
  protected readonly enabled: Set<number> = new Set();
  readonly #interrupts: MmioInterrupts;
  /** Entries by queue, as the device said when it was asked first; `undefined` until then. */
  #sizes: readonly number[] | undefined;

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where no device with this interface is behind the registers. */
  protected constructor(registers: MmioRegisters, driverInterface: DeviceInterface, options: MmioTransportOptions) {
    const identity = identifyMmioDevice(registers);
    if (identity === undefined) {
      throw new DeviceError('ERR_DEVICE_CONFIG', `${registers.name} is empty: its DeviceID is 0`, {
        hint: 'name the slot that has the device',
      });
    }
    if (identity.interface !== driverInterface) {
      const problem = `${registers.name} has a ${identity.interface} device, and a ${driverInterface} driver asks for it`;
      throw new DeviceError('ERR_DEVICE_CONFIG', problem, {
        hint: 'a virtio-mmio device has one interface: set driver.interface and device.interface to it',
      });
    }
    this.registers = registers;
    this.deviceId = identity.deviceId;
    this.unmarkedLengths = options.unmarkedLengths;
    this.hidden = options.hidden ?? FeatureSet.EMPTY;
    this.#interrupts = new MmioInterrupts(registers, options.signal);
  }

  abstract readDeviceFeatures(): FeatureSet;
  abstract writeDriverFeatures(features: FeatureSet): void;
  abstract enableQueue(queue: number, addresses: QueueAddresses): void;
  abstract resetQueue(queue: number): void;
  abstract isQueueReset(queue: number): boolean;
  abstract notify(queue: number, next: number): void;
  abstract configGeneration(): number;

  /** Known for good once features are accepted: a network device of QEMU has one pair of queues until NET_MQ is. */
  get queueCount(): number {
    return this.#queueSizes().length;
  }

  get watch(): ((listener: () => void) => void) | undefined {
    return this.#interrupts.watch;
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a status of more than 8 bits. */
  readStatus(): number {
    const status = this.registers.read(MMIO.Status, 4);
    if (status <= 0xff) return status;
    if (status === ALL_ONES) return 0xff;
    throw this.lie(`the Status 0x${status.toString(16)}, which has 8 bits`);
  }

  writeStatus(status: number): void {
    this.registers.write(MMIO.Status, 4, status);
    const isNegotiated = (status & DeviceStatus.FeaturesOk) !== 0 && (status & DeviceStatus.DriverOk) === 0;
    if (isNegotiated) this.forgetSizes();
    if (status !== 0) return;
    this.forgetSizes();
    this.#interrupts.forget();
    this.enabled.clear();
    this.wasReset();
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a queue with more entries than any may have. */
  maxQueueSize(queue: number): number {
    return this.#queueSizes()[queue] ?? 0;
  }

  wait(timeoutMs: number): WaitResult {
    return this.#interrupts.wait(timeoutMs);
  }

  takeConfigChange(): boolean {
    return this.#interrupts.takeConfigChange();
  }

  /**
   * Reads a field of 1, 2, 4 or 8 bytes with the accesses that the specification demands for it, and other lengths byte
   * by byte. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` behind the end of the window.
   */
  readConfig(offset: number, target: Uint8Array): void {
    this.#checkConfig(offset, target.length);
    const width = this.configWidth(offset, target.length);
    for (let at = 0; at < target.length; at += width) {
      const value = this.registers.read(MMIO.Config + offset + at, width);
      for (let byte = 0; byte < width; byte++) target[at + byte] = (value >>> (8 * byte)) & 0xff;
    }
  }

  /** Writes as {@link readConfig} reads. */
  writeConfig(offset: number, source: Uint8Array): void {
    this.#checkConfig(offset, source.length);
    const width = this.configWidth(offset, source.length);
    for (let at = 0; at < source.length; at += width) {
      let value = 0;
      for (let byte = 0; byte < width; byte++) value |= source[at + byte]! << (8 * byte);
      this.registers.write(MMIO.Config + offset + at, width, value >>> 0);
    }
  }

  /** The registers belong to the machine, which disposes of them. */
  dispose(): void {}

  /** The width of accesses to `length` bytes of configuration. */
  protected configWidth(offset: number, length: number): AccessWidth {
    if (length === 2 && offset % 2 === 0) return 2;
    return (length === 4 || length === 8) && offset % 4 === 0 ? 4 : 1;
  }

  /** Called after a reset was written. */
  protected wasReset(): void {}

  /** Has the number and the sizes of the queues read again: they follow from the features. */
  protected forgetSizes(): void {
    this.#sizes = undefined;
  }

  protected select(queue: number): void {
    this.registers.write(MMIO.QueueSel, 4, queue);
  }

  /** Reads features, 32 of them: those from bit `32 * word` on. */
  protected featureWord(word: number): number {
    this.registers.write(MMIO.DeviceFeaturesSel, 4, word);
    return this.registers.read(MMIO.DeviceFeatures, 4);
  }

  protected writeFeatureWord(word: number, bits: number): void {
    this.registers.write(MMIO.DriverFeaturesSel, 4, word);
    this.registers.write(MMIO.DriverFeatures, 4, bits);
  }

  /** The error of a device that said what cannot be: `what` completes the sentence "the device has ...". */
  protected lie(what: string): DeviceError {
    return new DeviceError('ERR_DEVICE_CONFIG', `${this.registers.name} has ${what}`);
  }

  /** Each size is read once: a legacy driver may not ask for that of a queue that is in use. */
  #queueSizes(): readonly number[] {
    if (this.#sizes !== undefined) return this.#sizes;
    const sizes: number[] = [];
    for (let queue = 0; queue < MOST_QUEUES; queue++) {
      this.select(queue);
      const size = this.registers.read(MMIO.QueueNumMax, 4);
      if (size === 0) break;
      if (size > MOST_ENTRIES) throw this.lie(`up to ${size} entries in queue ${queue}, more than ${MOST_ENTRIES}`);
      sizes.push(size);
    }
    this.#sizes = sizes;
    return sizes;
  }

  #checkConfig(offset: number, length: number): void {
    const has = this.registers.size - MMIO.Config;
    if (!(offset >= 0) || offset + length > has) throw shortConfiguration(this.registers.name, offset, length, has);
  }
}
