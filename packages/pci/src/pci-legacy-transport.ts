import { DeviceError } from '@virtio-platform/core';
import {
  shortConfiguration,
  type InterruptMessages,
  type Transport,
  type WaitResult,
} from '@virtio-platform/core/device';
import { FeatureSet, transportCarries } from '@virtio-platform/core/features';
import { legacyPageFrame, type QueueAddresses } from '@virtio-platform/core/queue';
import { identifyDevice } from './device-identity.ts';
import { DeviceInterrupts, CONFIG_VECTOR, QUEUE_VECTOR, type PciInterrupts } from './device-interrupts.ts';
import { RegisterWindow, type PciFunction } from './pci-function.ts';

/** Offsets of the registers in BAR 0 (specification 1.4 section 4.1.4.10). */
const DEVICE_FEATURES = 0;
const DRIVER_FEATURES = 4;
const QUEUE_ADDRESS = 8;
const QUEUE_SIZE = 12;
const QUEUE_SELECT = 14;
const QUEUE_NOTIFY = 16;
const DEVICE_STATUS = 18;
const ISR_STATUS = 19;
/** Only with MSI-X enabled. Device configuration then begins behind them. */
const CONFIG_VECTOR_REGISTER = 20;
const QUEUE_VECTOR_REGISTER = 22;
const CONFIG = 20;
const CONFIG_WITH_MSIX = 24;

/** The legacy interface has no number of queues. The queues up to the first without a size exist, at most this many. */
const MOST_QUEUES = 64;
/** VIRTIO_F_BAD_FEATURE: QEMU offers it to detect drivers that accept every feature. No driver may accept it. */
const BAD_FEATURE = 30;

/**
 * The legacy interface, from before specification 1.0, of a virtio device on PCI: one block of registers, in which a
 * page frame number states the address of a queue. It has no FEATURES_OK and no feature above bit 31.
 */
export class PciLegacyTransport implements Transport {
  readonly interface = 'legacy';
  readonly deviceId: number;
  readonly carries: FeatureSet = transportCarries('legacy').without(BAD_FEATURE);
  readonly #name: string;
  readonly #registers: RegisterWindow;
  readonly #interrupts: DeviceInterrupts;
  /** Features that the driver does not see. */
  readonly #hidden: FeatureSet;
  #queueCount: number;

  /**
   * `hidden` is withheld from the driver. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` without a legacy interface.
   */
  constructor(pci: PciFunction, interrupts: PciInterrupts, hidden: FeatureSet = FeatureSet.EMPTY) {
    const { deviceId, isTransitional } = identifyDevice(pci);
    const bar = isTransitional ? pci.openBar(0) : undefined;
    if (bar === undefined || bar.size < CONFIG_WITH_MSIX) {
      throw new DeviceError('ERR_DEVICE_CONFIG', `${pci.name} has no legacy interface`, {
        hint: 'use driver.interface: modern, or a device with device.interface: legacy or transitional',
      });
    }
    this.deviceId = deviceId;
    this.#name = pci.name;
    this.#registers = new RegisterWindow(pci, 'legacy registers', 0, 0, bar.size);
    this.#interrupts = new DeviceInterrupts(pci.name, interrupts, this.#registers, ISR_STATUS);
    this.#hidden = hidden.with(BAD_FEATURE);
    this.#queueCount = this.#countQueues();
  }

  /** Known for good once features are accepted, as on the modern interface. */
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
    return new FeatureSet(BigInt(this.#registers.read(DEVICE_FEATURES, 4))).minus(this.#hidden);
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.#registers.write(DRIVER_FEATURES, 4, Number(BigInt.asUintN(32, features.bits)));
    this.#queueCount = this.#countQueues();
  }

  readStatus(): number {
    return this.#registers.read(DEVICE_STATUS, 1);
  }

  writeStatus(status: number): void {
    this.#registers.write(DEVICE_STATUS, 1, status);
    if (status === 0) this.#interrupts.disable();
  }

  maxQueueSize(queue: number): number {
    this.#select(queue);
    return this.#registers.read(QUEUE_SIZE, 2);
  }

  /**
   * Throws {@link DmaError} for a ring whose address has no page frame number, and {@link DeviceError}
   * `ERR_DEVICE_CONFIG` for a ring whose size is not, or no longer, the device's.
   */
  enableQueue(queue: number, addresses: QueueAddresses): void {
    const frame = legacyPageFrame(addresses);
    const size = this.maxQueueSize(queue);
    if (size !== addresses.size) {
      const problem = `${this.#name} says that queue ${queue} has ${size} entries, not ${addresses.size}`;
      throw new DeviceError('ERR_DEVICE_CONFIG', problem);
    }
    const interrupts = this.#interrupts;
    if (interrupts.enable()) interrupts.setVector(this.#registers, CONFIG_VECTOR_REGISTER, CONFIG_VECTOR);
    this.#select(queue);
    if (interrupts.usesMsix) interrupts.setVector(this.#registers, QUEUE_VECTOR_REGISTER, QUEUE_VECTOR);
    this.#registers.write(QUEUE_ADDRESS, 4, frame);
  }

  /** RING_RESET is above bit 31, so the legacy interface cannot negotiate it. */
  resetQueue(_queue: number): void {
    throw new TypeError('RING_RESET was not negotiated');
  }

  isQueueReset(queue: number): boolean {
    this.#select(queue);
    return this.#registers.read(QUEUE_ADDRESS, 4) === 0;
  }

  /** Hot: no allocation. */
  notify(queue: number, _next: number): void {
    this.#registers.write(QUEUE_NOTIFY, 2, queue);
  }

  wait(timeoutMs: number): WaitResult {
    return this.#interrupts.wait(timeoutMs);
  }

  takeConfigChange(): boolean {
    return this.#interrupts.takeConfigChange();
  }

  configGeneration(): number {
    return 0;
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the device has less configuration. */
  readConfig(offset: number, target: Uint8Array): void {
    this.#checkConfig(offset, target.length);
    this.#registers.readBytes(this.#config + offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#checkConfig(offset, source.length);
    this.#registers.writeBytes(this.#config + offset, source);
  }

  /** The function belongs to the machine, which disposes of it. */
  dispose(): void {
    this.#interrupts.dispose();
  }

  get #config(): number {
    return this.#interrupts.usesMsix ? CONFIG_WITH_MSIX : CONFIG;
  }

  #checkConfig(offset: number, length: number): void {
    const has = this.#registers.length - this.#config;
    if (!(offset >= 0) || offset + length > has) throw shortConfiguration(this.#name, offset, length, has);
  }

  #countQueues(): number {
    let count = 0;
    while (count < MOST_QUEUES && this.maxQueueSize(count) !== 0) count++;
    return count;
  }

  #select(queue: number): void {
    this.#registers.write(QUEUE_SELECT, 2, queue);
  }
}
