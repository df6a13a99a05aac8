import { FeatureSet, VIRTIO_RING_F_EVENT_IDX } from '@virtio-platform/core/features';
import { RegisterFile, SoftwareFunction } from './register-file.ts';

/** Sizes of the queues of the device. */
export const QUEUE_SIZES: readonly number[] = [256, 64];
const BAD_FEATURE = 30;

/** How the device differs from the usual one: two queues, EVENT_IDX, two vectors. */
export interface LegacyDeviceOptions {
  readonly features?: FeatureSet;
  readonly queueSizes?: readonly number[];
  readonly vectors?: number;
}

/**
 * The legacy registers of a small transitional device. While MSI-X is enabled, its configuration is behind the vectors.
 */
export class LegacyDevice extends SoftwareFunction {
  readonly registers: RegisterFile = new RegisterFile(64, 'io');
  readonly table: RegisterFile = new RegisterFile(0x1000);
  /** Page frame numbers by queue. */
  readonly frames: number[] = [];
  readonly queueVectors: number[] = [];
  readonly #options: LegacyDeviceOptions;
  readonly #msix: number;
  readonly #device: Uint8Array = Uint8Array.from({ length: 8 }, (_, i) => 0x40 + i);
  #configVector = 0xffff;

  constructor(options: LegacyDeviceOptions = {}) {
    super(0x1af4, 0x1001);
    this.#options = options;
    this.config.poke(0x2e, 2, 2);
    this.bars[0] = this.registers;
    this.bars[1] = this.table;
    this.#msix = this.addMsix(2, 1);
    this.registers.onRead = (offset) => this.#read(offset);
    this.registers.onWrite = (offset, _width, value) => this.#write(offset, value);
  }

  get hasMsix(): boolean {
    return (this.config.peek(this.#msix + 2, 2) & 0x8000) !== 0;
  }

  get #sizes(): readonly number[] {
    return this.#options.queueSizes ?? QUEUE_SIZES;
  }

  get #queue(): number {
    return this.registers.peek(14, 2);
  }

  #read(offset: number): number | undefined {
    const config = this.hasMsix ? 24 : 20;
    if (offset === 0) {
      const features = this.#options.features ?? FeatureSet.of(VIRTIO_RING_F_EVENT_IDX);
      return Number(features.with(BAD_FEATURE).bits);
    }
    if (offset === 8) return this.frames[this.#queue] ?? 0;
    if (offset === 12) return this.#sizes[this.#queue] ?? 0;
    if (offset === 19) {
      const isr = this.registers.peek(19, 1);
      this.registers.poke(19, 1, 0);
      return isr;
    }
    if (this.hasMsix && offset === 20) return this.#configVector;
    if (this.hasMsix && offset === 22) return this.queueVectors[this.#queue] ?? 0xffff;
    return offset >= config ? (this.#device[offset - config] ?? 0) : undefined;
  }

  #write(offset: number, value: number): void {
    const accepted = value < (this.#options.vectors ?? 2) ? value : 0xffff;
    if (offset === 8) this.frames[this.#queue] = value;
    if (offset === 18 && value === 0) this.frames.length = this.queueVectors.length = 0;
    if (offset >= (this.hasMsix ? 24 : 20)) this.#device[offset - (this.hasMsix ? 24 : 20)] = value;
    else if (offset === 20) this.#configVector = accepted;
    else if (offset === 22) this.queueVectors[this.#queue] = accepted;
  }
}
