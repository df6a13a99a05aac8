import { type DeviceEvents, type DeviceModel } from '@virtio-platform/core';
import { writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { ENTROPY_MOST_BYTES, ENTROPY_PERIOD, type EntropyLimits, EntropyQuota } from './entropy-limits.ts';
import type { EntropySource } from './entropy-source.ts';

/** How much of a buffer is filled at once. */
const SCRATCH_SIZE = 0x1_0000;

/**
 * The device half of an entropy device (specification 1.4 section 5.4): fills every buffer up to its limits. Once the
 * bytes of a period are given, buffers wait in the ring for the next. A buffer with a readable part breaks the rules of
 * section 5.4.6.1 and comes back without a byte.
 */
export class EntropyDevice implements DeviceModel {
  readonly features: FeatureSet = FeatureSet.EMPTY;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array = new Uint8Array(0);
  /** Periods end while the driver is idle. */
  readonly usesEventLoop: boolean;
  readonly #source: EntropySource;
  readonly #bufferBytes: number;
  readonly #quota: EntropyQuota;
  readonly #scratch: Uint8Array = new Uint8Array(SCRATCH_SIZE);
  #events: DeviceEvents | undefined;

  constructor(source: EntropySource, queueSize: number, limits: EntropyLimits = {}) {
    const { bufferBytes = ENTROPY_MOST_BYTES, maxBytes = Infinity, period = ENTROPY_PERIOD } = limits;
    this.#source = source;
    this.queueSizes = [queueSize];
    this.#bufferBytes = Math.min(bufferBytes, ENTROPY_MOST_BYTES);
    this.usesEventLoop = maxBytes !== Infinity;
    this.#quota = new EntropyQuota(maxBytes, period, () => this.#events?.queueChanged());
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  start(_accepted: FeatureSet): void {
    this.#source.restart();
    this.#quota.reset();
  }

  /** It keeps no buffers. */
  forget(_queue: number): void {}

  wants(_queue: number): boolean {
    return this.#quota.left > 0;
  }

  process(_queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (chain.readableBytes > 0) return 0;
    const length = Math.min(chain.writableBytes, this.#bufferBytes, this.#quota.left);
    this.#source.begin();
    let done = 0;
    while (done < length) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      this.#source.fill(this.#scratch, run);
      if (!writeChain(chain, space, done, this.#scratch, 0, run)) break;
      done += run;
    }
    if (done > 0) this.#quota.take(done);
    return done;
  }

  dispose(): void {
    this.#quota.reset();
    this.#events = undefined;
  }
}
