import type { DmaDirection } from './dma-direction.ts';
import type { DmaLimits, DmaMapping, DmaStatistics } from './dma-mapping.ts';
import type { DmaPath } from './dma-path.ts';
import type { DmaRegion } from './dma-region.ts';

/** A mapping that leaves everything to another one, for those that differ from it in a little. Owns what it wraps. Hot: no allocation. */
export class ForwardingDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly barrier: (() => void) | undefined;
  readonly resolve?: NonNullable<DmaMapping['resolve']>;
  readonly #inner: DmaMapping;

  constructor(inner: DmaMapping) {
    this.path = inner.path;
    this.limits = inner.limits;
    this.barrier = inner.barrier;
    if (inner.resolve !== undefined) this.resolve = (low, high) => inner.resolve!(low, high);
    this.#inner = inner;
  }

  get statistics(): DmaStatistics {
    return this.#inner.statistics;
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    return this.#inner.map(address, length, direction, words, at);
  }

  unmap(id: number, written: number): void {
    this.#inner.unmap(id, written);
  }

  syncForCpu(id: number, offset: number, length: number): void {
    this.#inner.syncForCpu(id, offset, length);
  }

  syncForDevice(id: number, offset: number, length: number): void {
    this.#inner.syncForDevice(id, offset, length);
  }

  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    return this.#inner.premap(address, length, direction);
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#inner.allocateCoherent(length, alignment);
  }

  dispose(): void {
    this.#inner.dispose();
  }
}
