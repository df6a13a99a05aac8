import {
  DeviceError,
  FeatureSet,
  isCodedError,
  notificationValue,
  transportCarries,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_RESET,
  type InterruptMessages,
  type QueueAddresses,
  type Transport,
  type WaitResult,
} from '@virtio-platform/core';
import { identifyDevice } from './device-identity.ts';
import { awaitIsr } from './isr-status.ts';
import type { PciFunction } from './pci-function.ts';
import { CONFIG_VECTOR, NO_VECTOR, QUEUE_VECTOR, VECTORS, type PciInterrupts } from './pci-interrupts.ts';
import { findVirtioRegisters, type VirtioRegisters } from './virtio-capabilities.ts';

/** struct virtio_pci_common_cfg (specification 1.4 section 4.1.4.3). */
const DEVICE_FEATURE_SELECT = 0x00;
const DEVICE_FEATURE = 0x04;
const DRIVER_FEATURE_SELECT = 0x08;
const DRIVER_FEATURE = 0x0c;
const CONFIG_MSIX_VECTOR = 0x10;
const NUM_QUEUES = 0x12;
const DEVICE_STATUS = 0x14;
const CONFIG_GENERATION = 0x15;
const QUEUE_SELECT = 0x16;
const QUEUE_SIZE = 0x18;
const QUEUE_MSIX_VECTOR = 0x1a;
const QUEUE_ENABLE = 0x1c;
const QUEUE_NOTIFY_OFF = 0x1e;
/** Descriptor, driver and device area, each as low and high word. */
const QUEUE_AREAS = 0x20;
const QUEUE_NOTIF_CONFIG_DATA = 0x38;
const QUEUE_RESET = 0x3a;

/** Words of feature bits: 128 bits exist, and a device answers 0 for those it does not have. */
const FEATURE_WORDS = 4;
const MOST_QUEUES = 1024;

/**
 * The modern interface of a virtio device on PCI (specification 1.4 section 4.1). Knows nothing of how the function is reached.
 * Whatever the registers say is checked before it is used; none says more than what this driver does to its own device.
 */
export class PciModernTransport implements Transport {
  readonly interface = 'modern';
  readonly deviceType: string;
  readonly carries: FeatureSet = transportCarries('pci');
  /** Behind most functions is QEMU. */
  readonly unmarkedLengths = true;
  readonly queueCount: number;
  readonly #pci: PciFunction;
  readonly #registers: VirtioRegisters;
  readonly #interrupts: PciInterrupts;
  /** Features the driver is not shown. */
  readonly #hidden: FeatureSet;
  /** By queue: where it is notified, and what it is called there. */
  readonly #notifyAt: Uint32Array;
  readonly #identity: Uint16Array;
  #accepted = FeatureSet.EMPTY;
  #notifiesWithData = false;

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a function that is not a virtio device with a modern interface. */
  constructor(pci: PciFunction, interrupts: PciInterrupts, hidden: FeatureSet = FeatureSet.EMPTY) {
    this.#pci = pci;
    this.deviceType = identifyDevice(pci).type;
    this.#registers = findVirtioRegisters(pci);
    this.#interrupts = interrupts;
    this.#hidden = hidden;
    this.queueCount = this.#registers.common.read(NUM_QUEUES, 2);
    if (this.queueCount > MOST_QUEUES)
      throw new DeviceError('ERR_DEVICE_CONFIG', `${pci.name} says that it has ${this.queueCount} queues`);
    this.#notifyAt = new Uint32Array(this.queueCount);
    this.#identity = new Uint16Array(this.queueCount);
  }

  get interruptMessages(): InterruptMessages | undefined {
    const { messageBytes: bytes } = this.#interrupts;
    return bytes === 0 ? undefined : { bytes, receiveIn: (region) => this.#interrupts.receiveIn(region) };
  }

  readDeviceFeatures(): FeatureSet {
    const { common } = this.#registers;
    let bits = 0n;
    for (let word = 0; word < FEATURE_WORDS; word++) {
      common.write(DEVICE_FEATURE_SELECT, 4, word);
      bits |= BigInt(common.read(DEVICE_FEATURE, 4)) << BigInt(32 * word);
    }
    return new FeatureSet(bits).minus(this.#hidden);
  }

  writeDriverFeatures(features: FeatureSet): void {
    const { common } = this.#registers;
    // The words behind the last that has a bit keep the 0 of reset: some devices have two only.
    for (let word = 0; word < FEATURE_WORDS; word++) {
      const bits = Number(BigInt.asUintN(32, features.bits >> BigInt(32 * word)));
      if (bits === 0 && word >= 2) continue;
      common.write(DRIVER_FEATURE_SELECT, 4, word);
      common.write(DRIVER_FEATURE, 4, bits);
    }
    this.#accepted = features;
    this.#notifiesWithData = features.has(VIRTIO_F_NOTIFICATION_DATA);
  }

  readStatus(): number {
    return this.#registers.common.read(DEVICE_STATUS, 1);
  }

  /** A reset forgets the vectors too, so the messages end with it. */
  writeStatus(status: number): void {
    this.#registers.common.write(DEVICE_STATUS, 1, status);
    if (status !== 0) return;
    this.#accepted = FeatureSet.EMPTY;
    this.#interrupts.disable();
    this.#hasMessages = false;
  }

  maxQueueSize(queue: number): number {
    if (queue >= this.queueCount) return 0;
    this.#select(queue);
    return this.#registers.common.read(QUEUE_SIZE, 2);
  }

  enableQueue(queue: number, { size, words }: QueueAddresses): void {
    const { common } = this.#registers;
    this.#enableMessages();
    this.#select(queue);
    common.write(QUEUE_SIZE, 2, size);
    this.#locateNotification(queue);
    if (this.#hasMessages) this.#setVector(QUEUE_MSIX_VECTOR, QUEUE_VECTOR);
    for (let word = 0; word < 6; word++) common.write(QUEUE_AREAS + 4 * word, 4, words[word]!);
    common.write(QUEUE_ENABLE, 2, 1);
  }

  resetQueue(queue: number): void {
    if (!this.#accepted.has(VIRTIO_F_RING_RESET)) throw new TypeError('RING_RESET was not negotiated');
    this.#select(queue);
    this.#registers.common.write(QUEUE_RESET, 2, 1);
  }

  isQueueReset(queue: number): boolean {
    if (queue >= this.queueCount) return true;
    const { common } = this.#registers;
    this.#select(queue);
    const isResetting = this.#accepted.has(VIRTIO_F_RING_RESET) && common.read(QUEUE_RESET, 2) !== 0;
    return !isResetting && common.read(QUEUE_ENABLE, 2) === 0;
  }

  /** Hot: no allocation. */
  notify(queue: number, next: number): void {
    const value = notificationValue(this.#identity[queue]!, next, this.#notifiesWithData);
    this.#registers.notify.write(this.#notifyAt[queue]!, this.#notifiesWithData ? 4 : 2, value);
  }

  wait(timeoutMs: number): WaitResult {
    try {
      const came = this.#hasMessages ? this.#interrupts.wait(timeoutMs) : awaitIsr(this.#registers.isr, 0, timeoutMs);
      return came ? 'notified' : 'timeout';
    } catch (error) {
      if (isCodedError(error) && error.code === 'ERR_DEVICE_LOST') return 'lost';
      throw error;
    }
  }

  configGeneration(): number {
    return this.#registers.common.read(CONFIG_GENERATION, 1);
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#device(offset, target.length)?.readBytes(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#device(offset, source.length)?.writeBytes(offset, source);
  }

  /** The function stays its machine's. */
  dispose(): void {
    this.#interrupts.disable();
  }

  #hasMessages = false;

  #select(queue: number): void {
    this.#registers.common.write(QUEUE_SELECT, 2, queue);
  }

  /** Of the selected queue. */
  #locateNotification(queue: number): void {
    const { common, notify, notifyMultiplier } = this.#registers;
    const at = common.read(QUEUE_NOTIFY_OFF, 2) * notifyMultiplier;
    const bytes = this.#notifiesWithData ? 4 : 2;
    if (at + bytes > notify.length)
      throw new DeviceError(
        'ERR_DEVICE_CONFIG',
        `${this.#pci.name} has the notification register of queue ${queue} at ${at} of ${notify.length} bytes`,
      );
    this.#notifyAt[queue] = at;
    this.#identity[queue] = this.#accepted.has(VIRTIO_F_NOTIF_CONFIG_DATA)
      ? common.read(QUEUE_NOTIF_CONFIG_DATA, 2)
      : queue;
  }

  /** With the first queue: only then does the driver know where messages may go. */
  #enableMessages(): void {
    if (this.#hasMessages || this.#interrupts.vectors < VECTORS) return;
    this.#interrupts.enable(VECTORS);
    this.#setVector(CONFIG_MSIX_VECTOR, CONFIG_VECTOR);
    this.#hasMessages = true;
  }

  /** A device that has no resources for a vector says so by not taking it (section 4.1.5.1.2). */
  #setVector(register: number, vector: number): void {
    const { common } = this.#registers;
    common.write(register, 2, vector);
    if (common.read(register, 2) !== NO_VECTOR) return;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${this.#pci.name} cannot use message vector ${vector}`);
  }

  #device(offset: number, length: number): VirtioRegisters['device'] {
    const { device } = this.#registers;
    if (device !== undefined && offset + length <= device.length) return device;
    throw new RangeError(`bytes ${offset}..${offset + length} of ${device?.length ?? 0} of device configuration`);
  }
}
