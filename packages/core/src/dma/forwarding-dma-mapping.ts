import type { DmaLimits, DmaMapping, DmaPath, DmaStatistics } from './dma-mapping.ts';
import type { DmaDirection, DmaRegion } from './dma-region.ts';

/**
 * Forwards every call to the mapping that it wraps, as base of the mappings that differ from another one in a few
 * calls. Owns the wrapped mapping and disposes it. Hot: no allocation.
 */
export class ForwardingDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly resolve?: NonNullable<DmaMapping['resolve']>;
  readonly walk?: NonNullable<DmaMapping['walk']>;
  readonly syncMap?: NonNullable<DmaMapping['syncMap']>;
  readonly #inner: DmaMapping;

  /** `own` is what the subclass states instead of the wrapped mapping. */
  constructor(inner: DmaMapping, own: Partial<Pick<DmaMapping, 'path' | 'limits' | 'syncMap' | 'walk'>> = {}) {
    this.path = own.path ?? inner.path;
    this.limits = own.limits ?? inner.limits;
    if (inner.resolve !== undefined) this.resolve = (low, high) => inner.resolve!(low, high);
    if (own.walk !== undefined) this.walk = own.walk;
    else if (inner.walk !== undefined) this.walk = (low, high) => inner.walk!(low, high);
    if (own.syncMap !== undefined) this.syncMap = own.syncMap;
    else if (inner.syncMap !== undefined) this.syncMap = () => inner.syncMap!();
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

/**
 * Forwards every call to the region that it wraps, as base of regions that differ in a few calls. Hot: no allocation.
 */
export class ForwardingDmaRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly #inner: DmaRegion;

  constructor(inner: DmaRegion) {
    this.address = inner.address;
    this.length = inner.length;
    this.direction = inner.direction;
    this.#inner = inner;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    this.#inner.writeDeviceAddress(offset, words, at);
  }

  syncForDevice(offset: number, length: number): void {
    this.#inner.syncForDevice(offset, length);
  }

  syncForCpu(offset: number, length: number): void {
    this.#inner.syncForCpu(offset, length);
  }

  release(): void {
    this.#inner.release();
  }
}
