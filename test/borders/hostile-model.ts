import { type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';

/** What a hostile device says of itself. */
export interface Claims {
  /** Bits of its device type. */
  readonly features: FeatureSet;
  readonly config: Uint8Array;
  readonly queueSizes: readonly number[];
}

/** A right device half behind a configuration space, features and queue sizes that are not its own. */
export class HostileModel implements DeviceModel {
  readonly features: FeatureSet;
  readonly config: Uint8Array;
  readonly queueSizes: readonly number[];
  readonly #inner: DeviceModel;

  constructor(inner: DeviceModel, { features, config, queueSizes }: Claims) {
    this.features = features;
    this.config = config;
    this.queueSizes = queueSizes;
    this.#inner = inner;
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#inner.writeConfig?.(offset, source);
  }

  start(accepted: FeatureSet): void {
    this.#inner.start(accepted);
  }

  wants(queue: number): boolean {
    return queue < this.#inner.queueSizes.length && this.#inner.wants(queue);
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    return this.#inner.process(queue, chain, space, queues);
  }

  forget(queue: number): void {
    if (queue < this.#inner.queueSizes.length) this.#inner.forget(queue);
  }

  dispose(): void {
    this.#inner.dispose();
  }
}
