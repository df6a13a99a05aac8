import type { DmaDirection } from '../dma/dma-direction.ts';
import { DMA_NO_SPACE, type DmaLimits, type DmaMapping, type DmaStatistics } from '../dma/dma-mapping.ts';
import type { DmaPath } from '../dma/dma-path.ts';
import type { DmaRegion } from '../dma/dma-region.ts';
import { DmaError } from '../errors/coded-error.ts';
import type { FailurePlan } from './failure-plan.ts';

/** What fails on purpose in a mapping: single mappings, and what is mapped for long. */
export interface DmaFailures {
  readonly map: FailurePlan;
  readonly region: FailurePlan;
}

/** A mapping in which there is sometimes no room, as a full pool or window has it. Owns what it wraps. */
export class FailingDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly barrier: (() => void) | undefined;
  readonly #inner: DmaMapping;
  readonly #failures: DmaFailures;

  constructor(inner: DmaMapping, failures: DmaFailures) {
    this.path = inner.path;
    this.limits = inner.limits;
    this.barrier = inner.barrier;
    this.#inner = inner;
    this.#failures = failures;
  }

  get statistics(): DmaStatistics {
    return this.#inner.statistics;
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    return this.#failures.map.next() ? DMA_NO_SPACE : this.#inner.map(address, length, direction, words, at);
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
    this.#checkRegion(length);
    return this.#inner.premap(address, length, direction);
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    this.#checkRegion(length);
    return this.#inner.allocateCoherent(length, alignment);
  }

  dispose(): void {
    this.#inner.dispose();
  }

  #checkRegion(length: number): void {
    if (!this.#failures.region.next()) return;
    throw new DmaError('ERR_DMA_EXHAUSTED', `no room for a region of ${length} bytes: it was to fail on purpose`, {
      hint: 'failures.region of the profile asks for it',
    });
  }
}
