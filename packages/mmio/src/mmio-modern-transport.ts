import {
  FeatureSet,
  transportCarries,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_RESET,
} from '@virtio-platform/core/features';
import { notificationValue, type QueueAddresses } from '@virtio-platform/core/queue';
import { MMIO, MMIO_QUEUE_AREAS, type MmioRegisters } from './mmio-registers.ts';
import { MmioTransport, type MmioTransportOptions } from './mmio-transport.ts';
import { readSharedMemoryRegion, type SharedMemoryRegion } from './shared-memory-region.ts';

/** Words of feature bits: 128 bits exist. */
const FEATURE_WORDS = 4;

/** The modern interface of a virtio-mmio device (Version 2, specification 1.4 section 4.2.2). */
export class MmioModernTransport extends MmioTransport {
  readonly interface = 'modern';
  readonly carries: FeatureSet = transportCarries('mmio');
  #accepted = FeatureSet.EMPTY;
  #notifiesWithData = false;
  /** Queues whose reset was asked for, and not yet seen to be complete. */
  readonly #resetting = new Set<number>();

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where no modern device is behind the registers. */
  constructor(registers: MmioRegisters, options: MmioTransportOptions = {}) {
    super(registers, 'modern', options);
  }

  /**
   * QEMU answers every word behind the first with bits 32 to 63. VERSION_1 is one of them, so a word that repeats them
   * is one that the device does not have.
   */
  readDeviceFeatures(): FeatureSet {
    let bits = 0n;
    let second = 0;
    for (let word = 0; word < FEATURE_WORDS; word++) {
      const value = this.featureWord(word);
      if (word === 1) second = value;
      if (word < 2 || value !== second) bits |= BigInt(value) << BigInt(32 * word);
    }
    return new FeatureSet(bits).minus(this.hidden);
  }

  /** Words 2 and 3 are written only with a bit: QEMU takes each of them for word 1. */
  writeDriverFeatures(features: FeatureSet): void {
    for (let word = 0; word < FEATURE_WORDS; word++) {
      const bits = Number(BigInt.asUintN(32, features.bits >> BigInt(32 * word)));
      if (bits !== 0 || word < 2) this.writeFeatureWord(word, bits);
    }
    this.#accepted = features;
    this.#notifiesWithData = features.has(VIRTIO_F_NOTIFICATION_DATA);
  }

  /**
   * Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a queue that the device says is in use already, and for one that
   * it does not take: QueueReady has to read as it was written.
   */
  enableQueue(queue: number, { size, words }: QueueAddresses): void {
    this.select(queue);
    if (!this.enabled.has(queue)) this.#expectReady(queue, 0, 'before it was enabled');
    this.enabled.add(queue);
    this.registers.write(MMIO.QueueNum, 4, size);
    for (const [word, offset] of MMIO_QUEUE_AREAS.entries()) this.registers.write(offset, 4, words[word]!);
    this.registers.write(MMIO.QueueReady, 4, 1);
    this.#expectReady(queue, 1, 'after it was enabled');
  }

  resetQueue(queue: number): void {
    if (!this.#accepted.has(VIRTIO_F_RING_RESET)) throw new TypeError('RING_RESET was not negotiated');
    this.select(queue);
    this.registers.write(MMIO.QueueReset, 4, 1);
    this.#resetting.add(queue);
    this.enabled.delete(queue);
  }

  /**
   * Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the device ends the reset of a queue, or never begins it, and
   * still has the queue enabled.
   */
  isQueueReset(queue: number): boolean {
    if (queue >= this.queueCount) return true;
    this.select(queue);
    if (this.#accepted.has(VIRTIO_F_RING_RESET) && this.registers.read(MMIO.QueueReset, 4) !== 0) return false;
    if (this.#resetting.delete(queue)) this.#expectReady(queue, 0, 'after it was reset (QueueReset reads 0)');
    return this.registers.read(MMIO.QueueReady, 4) === 0;
  }

  /** Hot: no allocation. */
  notify(queue: number, next: number): void {
    this.registers.write(MMIO.QueueNotify, 4, notificationValue(queue, next, this.#notifiesWithData));
  }

  configGeneration(): number {
    return this.registers.read(MMIO.ConfigGeneration, 4);
  }

  /**
   * The shared memory region with the number `id` (0 to 255) of the device; `undefined` where it has none. Throws
   * {@link DeviceError} `ERR_DEVICE_CONFIG` for a region that cannot be.
   */
  sharedMemory(id: number): SharedMemoryRegion | undefined {
    return readSharedMemoryRegion(this.registers, id);
  }

  protected override wasReset(): void {
    this.#accepted = FeatureSet.EMPTY;
    this.#notifiesWithData = false;
    this.#resetting.clear();
  }

  /** The queue is the selected one. */
  #expectReady(queue: number, expected: number, when: string): void {
    const ready = this.registers.read(MMIO.QueueReady, 4);
    if (ready !== expected) throw this.lie(`${ready}, not ${expected}, in QueueReady of queue ${queue} ${when}`);
  }
}
