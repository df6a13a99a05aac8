import { DeviceError } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { MMIO, type AccessWidth, type MmioRegisters } from '../src/mmio-registers.ts';

/** Bytes of device configuration. */
export const CONFIG_BYTES = 8;
/** Entries of the queues of the device. */
export const QUEUE_SIZES: readonly number[] = [16, 32, 64];

/** How the device differs from the usual one: modern, VERSION_1, three queues. */
export interface MmioDeviceOptions {
  readonly version?: number;
  readonly features?: FeatureSet;
  /** What registers read as, whatever the device is like: by offset. */
  readonly lies?: Readonly<Record<number, (truth: number) => number>>;
  readonly bytes?: number;
}

/** The registers of a small device, modern or legacy: all rules of the registers, without queue processing. */
export class MmioDevice implements MmioRegisters {
  readonly name = 'virtio-mmio slot 2';
  readonly size: number;
  /** All accesses in order: `w30=1/4` is a write of 1 to the four bytes at 0x30, `r34/4` a read. */
  readonly log: string[] = [];
  readonly config: Uint8Array = Uint8Array.from({ length: 256 }, (_, i) => (i < CONFIG_BYTES ? 0x10 + i : 0xff));
  driverFeatures = 0n;
  status = 0;
  interrupts = 0;
  generation = 0;
  /** Once true, each access fails, as for a device that was removed. */
  isGone = false;
  /** By number: address and length. */
  readonly sharedMemory = new Map<number, readonly [bigint, bigint]>();
  readonly #options: MmioDeviceOptions;
  readonly #selectors = new Map<number, number>();
  #queues = QUEUE_SIZES.map(() => new Map<number, number>());

  constructor(options: MmioDeviceOptions = {}) {
    this.#options = options;
    this.size = options.bytes ?? 0x200;
  }

  get isLegacy(): boolean {
    return this.#options.version === 1;
  }

  /** A register of a queue, independent of the selected one. */
  queueRegister(queue: number, offset: number): number {
    return this.#queues[queue]!.get(offset) ?? 0;
  }

  setQueueRegister(queue: number, offset: number, value: number): void {
    this.#queues[queue]!.set(offset, value);
  }

  read(offset: number, width: AccessWidth): number {
    this.#check(offset, width);
    this.log.push(`r${offset.toString(16)}/${width}`);
    if (offset >= MMIO.Config) {
      const bytes = this.config.subarray(offset - MMIO.Config, offset - MMIO.Config + width);
      return bytes.reduceRight((value, byte) => value * 0x100 + byte, 0);
    }
    const truth = this.#read(offset) >>> 0;
    return this.#options.lies?.[offset]?.(truth) ?? truth;
  }

  write(offset: number, width: AccessWidth, value: number): void {
    this.#check(offset, width);
    if (!(value >= 0 && value < 2 ** (8 * width))) throw new Error(`${value} does not fit ${width} bytes`);
    this.log.push(`w${offset.toString(16)}=${value.toString(16)}/${width}`);
    if (offset >= MMIO.Config) {
      for (let i = 0; i < width; i++) this.config[offset - MMIO.Config + i] = (value >>> (8 * i)) & 0xff;
    } else this.#write(offset, value);
  }

  get #queue(): Map<number, number> | undefined {
    return this.#queues[this.#selectors.get(MMIO.QueueSel) ?? 0];
  }

  #read(offset: number): number {
    switch (offset) {
      case MMIO.MagicValue:
        return 0x7472_6976;
      case MMIO.Version:
        return this.#options.version ?? 2;
      case MMIO.DeviceID:
        return 2;
      case MMIO.DeviceFeatures: {
        const { features = FeatureSet.of(VIRTIO_F_VERSION_1) } = this.#options;
        return Number(BigInt.asUintN(32, features.bits >> BigInt(32 * this.#selectors.get(MMIO.DeviceFeaturesSel)!)));
      }
      case MMIO.QueueNumMax:
        return QUEUE_SIZES[this.#selectors.get(MMIO.QueueSel) ?? 0] ?? 0;
      case MMIO.QueueReady:
      case MMIO.QueuePFN:
      case MMIO.QueueReset:
        return this.#queue?.get(offset) ?? 0;
      case MMIO.InterruptStatus:
        return this.interrupts;
      case MMIO.Status:
        return this.status;
      case MMIO.ConfigGeneration:
        return this.generation;
      default:
        return this.#readSharedMemory(offset);
    }
  }

  #readSharedMemory(offset: number): number {
    const [address, length] = this.sharedMemory.get(this.#selectors.get(MMIO.SHMSel) ?? -1) ?? [-1n, -1n];
    if (offset === MMIO.SHMLenLow || offset === MMIO.SHMLenHigh) return wordOf(length, offset === MMIO.SHMLenHigh);
    if (offset === MMIO.SHMBaseLow || offset === MMIO.SHMBaseHigh) return wordOf(address, offset === MMIO.SHMBaseHigh);
    throw new Error(`register 0x${offset.toString(16)} is not to be read`);
  }

  #write(offset: number, value: number): void {
    if (offset === MMIO.DriverFeatures) {
      const shift = BigInt(32 * this.#selectors.get(MMIO.DriverFeaturesSel)!);
      this.driverFeatures = (this.driverFeatures & ~(0xffff_ffffn << shift)) | (BigInt(value) << shift);
    } else if (offset === MMIO.Status) this.#writeStatus(value);
    else if (offset === MMIO.InterruptACK) this.interrupts &= ~value;
    else if (PER_QUEUE.includes(offset)) this.#queue?.set(offset, value);
    else this.#selectors.set(offset, value);
  }

  #writeStatus(status: number): void {
    const { features = FeatureSet.of(VIRTIO_F_VERSION_1) } = this.#options;
    const isUnderstood = (this.driverFeatures & ~features.bits) === 0n;
    this.status = isUnderstood ? status : status & ~8;
    if (status !== 0) return;
    this.driverFeatures = 0n;
    this.interrupts = 0;
    this.#queues = QUEUE_SIZES.map(() => new Map());
  }

  #check(offset: number, width: number): void {
    if (this.isGone) throw new DeviceError('ERR_DEVICE_LOST', 'it was pulled out');
    const isInside = offset >= 0 && offset + width <= this.size && offset % width === 0;
    if (!isInside) throw new Error(`an access of ${width} bytes at ${offset} of ${this.size}`);
    if (offset < MMIO.Config && width !== 4) throw new Error(`${width} bytes of a control register`);
  }
}

const PER_QUEUE: readonly number[] = [
  MMIO.QueueNum,
  MMIO.QueueAlign,
  MMIO.QueuePFN,
  MMIO.QueueReady,
  MMIO.QueueReset,
  MMIO.QueueDescLow,
  MMIO.QueueDescHigh,
  MMIO.QueueDriverLow,
  MMIO.QueueDriverHigh,
  MMIO.QueueDeviceLow,
  MMIO.QueueDeviceHigh,
];

/** One half of a register of 64 bits. */
function wordOf(value: bigint, isHigh: boolean): number {
  return Number(BigInt.asUintN(32, isHigh ? value >> 32n : value));
}
