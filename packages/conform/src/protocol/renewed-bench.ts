import type { BenchBuffer, RequestBench } from '@virtio-platform/core';
import type { FeatureSet } from '@virtio-platform/core/features';

/** The bench as requests know it until its memory is renewed: a device type may keep buffers for each such object. */
export class RenewedBench implements RequestBench {
  readonly #bench: RequestBench;

  constructor(bench: RequestBench) {
    this.#bench = bench;
  }

  get accepted(): FeatureSet {
    return this.#bench.accepted;
  }

  allocate(name: string, bytes: number, alignment?: number): BenchBuffer {
    return this.#bench.allocate(name, bytes, alignment);
  }

  lend(buffer: BenchBuffer): void {
    this.#bench.lend(buffer);
  }
}
