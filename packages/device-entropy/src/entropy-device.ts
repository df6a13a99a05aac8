import { type DeviceModel } from '@virtio-platform/core';
import { writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import type { EntropySource } from './entropy-source.ts';

/**
 * Bytes that one buffer gets at most: a driver may offer 4 GiB, and the device does nothing else while it fills them.
 * Section 5.4.6.2 lets a device fill less than the whole buffer.
 */
export const ENTROPY_MOST_BYTES = 0x2_0000;
/** How much of a buffer is filled at once. */
const SCRATCH_SIZE = 0x1_0000;

/**
 * The device half of an entropy device (specification 1.4 section 5.4): fills every buffer up to
 * {@link ENTROPY_MOST_BYTES}. A buffer with a readable part breaks the rules of section 5.4.6.1 and comes back without
 * a byte.
 */
export class EntropyDevice implements DeviceModel {
  readonly features: FeatureSet = FeatureSet.EMPTY;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array = new Uint8Array(0);
  readonly #source: EntropySource;
  readonly #scratch: Uint8Array = new Uint8Array(SCRATCH_SIZE);

  constructor(source: EntropySource, queueSize: number) {
    this.#source = source;
    this.queueSizes = [queueSize];
  }

  start(_accepted: FeatureSet): void {
    this.#source.restart();
  }

  /** It keeps no buffers. */
  forget(_queue: number): void {}

  wants(_queue: number): boolean {
    return true;
  }

  process(_queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (chain.readableBytes > 0) return 0;
    const length = Math.min(chain.writableBytes, ENTROPY_MOST_BYTES);
    this.#source.begin();
    for (let done = 0; done < length;) {
      const run = Math.min(length - done, SCRATCH_SIZE);
      this.#source.fill(this.#scratch, run);
      if (!writeChain(chain, space, done, this.#scratch, 0, run)) return done;
      done += run;
    }
    return length;
  }

  dispose(): void {}
}
