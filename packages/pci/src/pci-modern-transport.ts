import { DeviceError } from '@virtio-platform/core';
import {
  DeviceStatus,
  shortConfiguration,
  type InterruptMessages,
  type Transport,
  type WaitResult,
} from '@virtio-platform/core/device';
import {
  FeatureSet,
  transportCarries,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_RING_RESET,
} from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { identifyDevice } from './device-identity.ts';
import { DeviceInterrupts, CONFIG_VECTOR, QUEUE_VECTOR, type PciInterrupts } from './device-interrupts.ts';
import { NotificationRegisters, findVirtioRegisters, type VirtioRegisters } from './virtio-registers.ts';
import type { PciFunction, RegisterWindow } from './pci-function.ts';

/** Offsets in struct virtio_pci_common_cfg (specification 1.4 section 4.1.4.3). */
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
/** Addresses of the descriptor, driver and device area, each as low and high word. */
const QUEUE_AREAS = 0x20;
const QUEUE_RESET = 0x3a;

/** Features with registers behind those that every device has, and the end of these registers. */
const LATER_REGISTERS: readonly (readonly [bit: number, end: number])[] = [
  [VIRTIO_F_NOTIF_CONFIG_DATA, 0x3a],
  [VIRTIO_F_RING_RESET, 0x3c],
];

/** Words of feature bits: 128 bits exist, and a device answers 0 for words that it does not have. */
const FEATURE_WORDS = 4;
const MOST_QUEUES = 1024;

/**
 * The modern interface of a virtio device on PCI (specification 1.4 section 4.1), over any {@link PciFunction}. Each
 * value from a register is checked before it is used.
 */
export class PciModernTransport implements Transport {
  readonly interface = 'modern';
  readonly deviceId: number;
  readonly carries: FeatureSet = transportCarries('pci');
  /** Most functions are devices of QEMU, which never marks such a length. */
  readonly unmarkedLengths = true;
  /**
   * QEMU 7.2 continues an element of the used ring that crosses a page of an IOMMU at a wrong device address
   * ("softmmu/physmem", 5 September 2022).
   */
  readonly wholeUsedElements = true;
  readonly #name: string;
  readonly #registers: VirtioRegisters;
  readonly #interrupts: DeviceInterrupts;
  readonly #notifications: NotificationRegisters;
  /**
   * Features that the driver does not see: those of the caller, and those that the device offers without registers for
   * them.
   */
  readonly #hidden: FeatureSet;
  #accepted = FeatureSet.EMPTY;
  #queueCount: number;

  /**
   * `hidden` is withheld from the driver. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a function that is not a
   * virtio device with a modern interface.
   */
  constructor(pci: PciFunction, interrupts: PciInterrupts, hidden: FeatureSet = FeatureSet.EMPTY) {
    this.deviceId = identifyDevice(pci).deviceId;
    this.#name = pci.name;
    this.#registers = findVirtioRegisters(pci);
    this.#interrupts = new DeviceInterrupts(pci.name, interrupts, this.#registers.isr, 0);
    const { length } = this.#registers.common;
    this.#hidden = LATER_REGISTERS.reduce((set, [bit, end]) => (end > length ? set.with(bit) : set), hidden);
    this.#queueCount = this.#readQueueCount();
    this.#notifications = new NotificationRegisters(pci.name, this.#registers, MOST_QUEUES);
  }

  /** Known for good with FEATURES_OK: a network device of QEMU has one pair of queues until NET_MQ is accepted. */
  get queueCount(): number {
    return this.#queueCount;
  }

  get interruptMessages(): InterruptMessages | undefined {
    return this.#interrupts.msiRegion;
  }

  get watch(): ((listener: () => void) => void) | undefined {
    return this.#interrupts.watch;
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
    // Words 2 and 3 without a bit keep the 0 of the reset: some devices have two words only.
    for (let word = 0; word < FEATURE_WORDS; word++) {
      const bits = Number(BigInt.asUintN(32, features.bits >> BigInt(32 * word)));
      if (bits === 0 && word >= 2) continue;
      common.write(DRIVER_FEATURE_SELECT, 4, word);
      common.write(DRIVER_FEATURE, 4, bits);
    }
    this.#accepted = features;
  }

  readStatus(): number {
    return this.#registers.common.read(DEVICE_STATUS, 1);
  }

  /** A reset clears the vectors of the device, so it disables MSI-X too. */
  writeStatus(status: number): void {
    this.#registers.common.write(DEVICE_STATUS, 1, status);
    const isNegotiated = (status & DeviceStatus.FeaturesOk) !== 0 && (status & DeviceStatus.DriverOk) === 0;
    if (isNegotiated) this.#queueCount = this.#readQueueCount();
    if (status !== 0) return;
    this.#accepted = FeatureSet.EMPTY;
    this.#interrupts.disable();
  }

  maxQueueSize(queue: number): number {
    if (queue >= this.queueCount) return 0;
    this.#select(queue);
    return this.#registers.common.read(QUEUE_SIZE, 2);
  }

  enableQueue(queue: number, { size, words }: QueueAddresses): void {
    const { common } = this.#registers;
    const interrupts = this.#interrupts;
    if (interrupts.enable()) interrupts.setVector(common, CONFIG_MSIX_VECTOR, CONFIG_VECTOR);
    this.#select(queue);
    common.write(QUEUE_SIZE, 2, size);
    this.#notifications.locateSelected(queue, this.#accepted);
    if (interrupts.usesMsix) interrupts.setVector(common, QUEUE_MSIX_VECTOR, QUEUE_VECTOR);
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
    this.#notifications.notify(queue, next);
  }

  wait(timeoutMs: number): WaitResult {
    return this.#interrupts.wait(timeoutMs);
  }

  takeConfigChange(): boolean {
    return this.#interrupts.takeConfigChange();
  }

  configGeneration(): number {
    return this.#registers.common.read(CONFIG_GENERATION, 1);
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the device has less configuration. */
  readConfig(offset: number, target: Uint8Array): void {
    this.#device(offset, target.length).readBytes(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#device(offset, source.length).writeBytes(offset, source);
  }

  /** The function belongs to the machine, which disposes of it. */
  dispose(): void {
    this.#interrupts.dispose();
  }

  #readQueueCount(): number {
    const count = this.#registers.common.read(NUM_QUEUES, 2);
    if (count <= MOST_QUEUES) return count;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${this.#name} has ${count} queues, more than ${MOST_QUEUES}`);
  }

  #select(queue: number): void {
    this.#registers.common.write(QUEUE_SELECT, 2, queue);
  }

  #device(offset: number, length: number): RegisterWindow {
    const { device } = this.#registers;
    if (device !== undefined && offset >= 0 && offset + length <= device.length) return device;
    throw shortConfiguration(this.#name, offset, length, device?.length ?? 0);
  }
}
