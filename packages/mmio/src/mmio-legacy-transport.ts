import { FeatureSet, transportCarries } from '@virtio-platform/core/features';
import { LEGACY_QUEUE_ALIGN, legacyPageFrame, type QueueAddresses } from '@virtio-platform/core/queue';
import { MMIO, type AccessWidth, type MmioRegisters } from './mmio-registers.ts';
import { MmioTransport, type MmioTransportOptions } from './mmio-transport.ts';

/**
 * The legacy interface of a virtio-mmio device (Version 1, specification 1.4 section 4.2.4): a page frame number is the
 * address of a queue. It has no FEATURES_OK, no generation of the configuration, and no feature above bit 31.
 */
export class MmioLegacyTransport extends MmioTransport {
  readonly interface = 'legacy';
  readonly carries: FeatureSet = transportCarries('legacy');
  /** Whether the device knows the page size, by which it takes the number of a page. */
  #knowsPageSize = false;

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where no legacy device is behind the registers. */
  constructor(registers: MmioRegisters, options: MmioTransportOptions = {}) {
    super(registers, 'legacy', options);
  }

  readDeviceFeatures(): FeatureSet {
    return new FeatureSet(BigInt(this.featureWord(0))).minus(this.hidden);
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.writeFeatureWord(0, Number(BigInt.asUintN(32, features.bits)));
    this.forgetSizes();
  }

  /**
   * Throws {@link DmaError} for a ring whose address has no page frame number, and {@link DeviceError}
   * `ERR_DEVICE_CONFIG` for a queue that the device says is in use already, and for one that it does not take: QueuePFN
   * has to read as it was written.
   */
  enableQueue(queue: number, addresses: QueueAddresses): void {
    const frame = legacyPageFrame(addresses);
    if (!this.#knowsPageSize) this.registers.write(MMIO.GuestPageSize, 4, LEGACY_QUEUE_ALIGN);
    this.#knowsPageSize = true;
    this.select(queue);
    if (!this.enabled.has(queue)) this.#expectFrame(queue, 0, 'before it was enabled');
    this.enabled.add(queue);
    this.registers.write(MMIO.QueueNum, 4, addresses.size);
    this.registers.write(MMIO.QueueAlign, 4, LEGACY_QUEUE_ALIGN);
    this.registers.write(MMIO.QueuePFN, 4, frame);
    this.#expectFrame(queue, frame, 'after it was enabled');
  }

  /** RING_RESET is above bit 31, so the legacy interface cannot negotiate it. */
  resetQueue(_queue: number): void {
    throw new TypeError('RING_RESET was not negotiated');
  }

  isQueueReset(queue: number): boolean {
    this.select(queue);
    return this.registers.read(MMIO.QueuePFN, 4) === 0;
  }

  /** Hot: no allocation. */
  notify(queue: number, _next: number): void {
    this.registers.write(MMIO.QueueNotify, 4, queue);
  }

  configGeneration(): number {
    return 0;
  }

  /** The configuration has the byte order of the guest, so that it is accessed byte by byte. */
  protected override configWidth(): AccessWidth {
    return 1;
  }

  /** Linux writes the page size once; another driver's reset may come before. */
  protected override wasReset(): void {
    this.#knowsPageSize = false;
  }

  /** The queue is the selected one. */
  #expectFrame(queue: number, expected: number, when: string): void {
    const frame = this.registers.read(MMIO.QueuePFN, 4);
    if (frame !== expected) throw this.lie(`${frame}, not ${expected}, in QueuePFN of queue ${queue} ${when}`);
  }
}
