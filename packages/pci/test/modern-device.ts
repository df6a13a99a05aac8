import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { RegisterFile, SoftwareFunction } from './register-file.ts';

const COMMON = 0;
/** Offset of the ISR register in {@link ModernDevice.registers}. */
export const ISR = 0x100;
const DEVICE = 0x200;
const NOTIFY = 0x300;
/** Bytes of device configuration. */
export const CONFIG_BYTES = 8;
const QUEUES = 3;
/** The registers of one queue, from queue_size on. */
const QUEUE_REGISTERS = { first: 0x18, end: 0x3c };

/** How the device differs from the usual one: VERSION_1, four vectors, a notification register for each queue. */
export interface ModernDeviceOptions {
  readonly features?: FeatureSet;
  readonly commonBytes?: number;
  readonly notifyMultiplier?: number;
  readonly notifyBytes?: number;
  /** queue_notify_off of a queue. */
  readonly notifyOff?: (queue: number) => number;
  /** The first vector that the device does not accept. */
  readonly vectors?: number;
}

/** The registers of a small modern device: all rules of the common configuration, without queue processing. */
export class ModernDevice extends SoftwareFunction {
  readonly registers: RegisterFile;
  readonly table: RegisterFile = new RegisterFile(0x1000);
  driverFeatures = 0n;
  readonly #options: ModernDeviceOptions;
  #queues: DataView[] = [];

  constructor(options: ModernDeviceOptions = {}) {
    super(0x1af4, 0x1042);
    this.#options = options;
    this.registers = new RegisterFile(0x400);
    this.bars[1] = this.table;
    this.bars[4] = this.registers;
    this.addMsix(4, 0x800 + 1);
    this.addVirtioCapability(1, 4, COMMON, options.commonBytes ?? 0x3c);
    this.addVirtioCapability(3, 4, ISR, 1);
    this.addVirtioCapability(4, 4, DEVICE, CONFIG_BYTES);
    this.addVirtioCapability(2, 4, NOTIFY, options.notifyBytes ?? 0x100, options.notifyMultiplier ?? 4);
    this.registers.poke(0x12, 2, QUEUES);
    for (let i = 0; i < CONFIG_BYTES; i++) this.registers.poke(DEVICE + i, 1, 0x10 + i);
    this.registers.onRead = (offset, width) => this.#read(offset, width);
    this.registers.onWrite = (offset, width, value) => this.#write(offset, width, value);
    this.#reset();
  }

  get features(): FeatureSet {
    return this.#options.features ?? FeatureSet.of(VIRTIO_F_VERSION_1);
  }

  /** A register of a queue, independent of the selected queue. */
  queueRegister(queue: number, offset: number, width: 2 | 4): number {
    const registers = this.#queues[queue]!;
    return width === 2 ? registers.getUint16(offset, true) : registers.getUint32(offset, true);
  }

  setQueueRegister(queue: number, offset: number, value: number): void {
    this.#queues[queue]!.setUint16(offset, value, true);
  }

  #reset(): void {
    this.driverFeatures = 0n;
    this.registers.poke(0x10, 2, 0xffff);
    this.#queues = Array.from({ length: QUEUES }, (_, queue) => {
      const registers = new DataView(new ArrayBuffer(QUEUE_REGISTERS.end));
      registers.setUint16(0x18, 16 << queue, true);
      registers.setUint16(0x1a, 0xffff, true);
      registers.setUint16(0x1e, this.#options.notifyOff?.(queue) ?? queue, true);
      registers.setUint16(0x38, 0x700 + queue, true);
      return registers;
    });
  }

  #read(offset: number, width: number): number | undefined {
    if (offset === 0x04) {
      const bits = this.features.bits >> BigInt(32 * this.registers.peek(0x00, 4));
      return Number(BigInt.asUintN(32, bits));
    }
    if (offset === ISR) {
      const isr = this.registers.peek(ISR, 1);
      this.registers.poke(ISR, 1, 0);
      return isr;
    }
    if (offset < QUEUE_REGISTERS.first || offset >= QUEUE_REGISTERS.end) return undefined;
    const registers = this.#queues[this.registers.peek(0x16, 2)];
    if (registers === undefined) return 0;
    return width === 2 ? registers.getUint16(offset, true) : registers.getUint32(offset, true);
  }

  #write(offset: number, width: number, value: number): void {
    if (offset === 0x0c) {
      const shift = BigInt(32 * this.registers.peek(0x08, 4));
      const mask = 0xffff_ffffn << shift;
      this.driverFeatures = (this.driverFeatures & ~mask) | (BigInt(value) << shift);
    }
    if (offset === 0x10 && value >= (this.#options.vectors ?? 4)) this.registers.poke(0x10, 2, 0xffff);
    if (offset === 0x14) this.#writeStatus(value);
    if (offset < QUEUE_REGISTERS.first || offset >= QUEUE_REGISTERS.end) return;
    const registers = this.#queues[this.registers.peek(0x16, 2)];
    if (registers === undefined) return;
    if (width === 4) registers.setUint32(offset, value, true);
    else registers.setUint16(offset, offset === 0x1a ? this.#accepted(value) : value, true);
  }

  #writeStatus(status: number): void {
    if (status === 0) this.#reset();
    const isUnderstood = (this.driverFeatures & ~this.features.bits) === 0n;
    if (!isUnderstood) this.registers.poke(0x14, 1, status & ~8);
  }

  #accepted(vector: number): number {
    return vector < (this.#options.vectors ?? 4) ? vector : 0xffff;
  }
}
