import { DeviceStatus, type DeviceInterface, type Transport, type WaitResult } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_RESET } from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import block, { BLOCK_FEATURES } from '@virtio-platform/device-block';

/** How the device of a {@link RegisterTransport} behaves. */
export interface RegisterTransportOptions {
  readonly offered: FeatureSet;
  /** `modern` unless given. */
  readonly interface?: DeviceInterface;
  /** That of a block device unless given. */
  readonly deviceId?: number;
  /** Reads of the status after the reset of a device in use until it reads 0. 0 unless given: the first one. */
  readonly slowReset?: number;
  /** Reads of a queue's reset state until the reset is complete. 0 unless given: the first one. */
  readonly slowQueueReset?: number;
  /** Features without which the device clears FEATURES_OK. */
  readonly demands?: FeatureSet;
  /** Configuration reads during which the configuration changes, so that its generation does too. */
  readonly unstableReads?: number;
  /** Bytes of the configuration space. 16 unless given; byte `i` holds `i + 1`. */
  readonly configBytes?: number;
}

const MODERN_BITS = (1n << 64n) - 1n;
const LEGACY_BITS = (1n << 32n) - 1n;

/**
 * The registers of a device that processes no queue: it follows the rules of status, features and configuration, and
 * logs every register write. Subclasses break one rule each.
 */
export class RegisterTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceId: number;
  readonly carries: FeatureSet;
  readonly queueCount = 2;
  /** Every register write, in order. */
  readonly log: string[] = [];
  /** Status bits that the device sets by itself, such as DEVICE_NEEDS_RESET. */
  deviceStatus = 0;
  driverFeatures: FeatureSet = FeatureSet.EMPTY;
  readonly config: Uint8Array;
  readonly #options: RegisterTransportOptions;
  #status = 0;
  #resetReads = 0;
  #queueResetReads = 0;
  #generation = 0;
  #unstableReads: number;

  constructor(options: RegisterTransportOptions) {
    this.#options = options;
    this.interface = options.interface ?? 'modern';
    this.deviceId = options.deviceId ?? block.id;
    this.carries = new FeatureSet(this.interface === 'modern' ? MODERN_BITS : LEGACY_BITS);
    this.config = Uint8Array.from({ length: options.configBytes ?? 16 }, (_, i) => i + 1);
    this.#unstableReads = options.unstableReads ?? 0;
  }

  readDeviceFeatures(): FeatureSet {
    return this.#options.offered;
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.log.push(`features ${features.names(BLOCK_FEATURES).join('|')}`);
    this.driverFeatures = features;
  }

  readStatus(): number {
    if (this.#resetReads > 0 && --this.#resetReads === 0) this.#status = 0;
    return this.#status | this.deviceStatus;
  }

  writeStatus(status: number): void {
    this.log.push(`status ${status}`);
    if (status === 0) {
      this.deviceStatus = 0;
      this.driverFeatures = FeatureSet.EMPTY;
      this.#resetReads = this.#status === 0 ? 0 : (this.#options.slowReset ?? 0);
      if (this.#resetReads === 0) this.#status = 0;
      return;
    }
    const isRefused = (status & DeviceStatus.FeaturesOk) !== 0 && !this.#takesFeatures();
    this.#status = isRefused ? status & ~DeviceStatus.FeaturesOk : status;
  }

  maxQueueSize(queue: number): number {
    return queue < this.queueCount ? 256 : 0;
  }

  enableQueue(queue: number, addresses: QueueAddresses): void {
    this.log.push(`queue ${queue} of ${addresses.size}`);
  }

  resetQueue(queue: number): void {
    if (!this.#options.offered.has(VIRTIO_F_RING_RESET)) throw new TypeError('RING_RESET was not negotiated');
    this.log.push(`reset queue ${queue}`);
  }

  isQueueReset(_queue: number): boolean {
    return (this.#options.slowQueueReset ?? 0) <= this.#queueResetReads++;
  }

  notify(queue: number, next: number): void {
    this.log.push(`notify ${queue} ${next}`);
  }

  wait(timeoutMs: number): WaitResult {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeoutMs);
    return 'timeout';
  }

  configGeneration(): number {
    return this.interface === 'legacy' ? 0 : this.#generation;
  }

  readConfig(offset: number, target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.config[offset + i] ?? 0;
    if (this.#unstableReads === 0) return;
    this.#unstableReads--;
    this.#generation++;
    this.config[0] = (this.config[0]! + 1) & 0xff;
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.config.set(source, offset);
    this.#generation++;
  }

  dispose(): void {}

  #takesFeatures(): boolean {
    const { offered, demands } = this.#options;
    const takes = this.driverFeatures.minus(offered).equals(FeatureSet.EMPTY);
    return takes && (demands ?? FeatureSet.EMPTY).minus(this.driverFeatures).equals(FeatureSet.EMPTY);
  }
}
