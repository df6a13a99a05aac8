import type { DmaDirection, DmaLimits, DmaMapping, DmaPath, DmaRegion, DmaStatistics } from '@virtio-platform/core';
import type { Iotlb } from './iotlb.ts';

/**
 * A mapping of which a back-end hears at once, and not only when it asks: whatever the driver maps is known before the driver passes
 * the address on. Owns what it wraps. Taking back is not its business: the facility behind the mapping is watched.
 */
export class AnnouncedDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly barrier: (() => void) | undefined;
  readonly resolve?: NonNullable<DmaMapping['resolve']>;
  readonly #inner: DmaMapping;
  readonly #iotlb: Iotlb;
  readonly #words = new Uint32Array(2);

  constructor(inner: DmaMapping, iotlb: Iotlb) {
    this.path = inner.path;
    this.limits = inner.limits;
    this.barrier = inner.barrier;
    if (inner.resolve !== undefined) this.resolve = (low, high) => inner.resolve!(low, high);
    this.#inner = inner;
    this.#iotlb = iotlb;
  }

  get statistics(): DmaStatistics {
    return this.#inner.statistics;
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    const id = this.#inner.map(address, length, direction, words, at);
    if (id >= 0) this.#iotlb.announce(words[at]!, words[at + 1]!, length);
    return id;
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
    return this.#announced(this.#inner.premap(address, length, direction));
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#announced(this.#inner.allocateCoherent(length, alignment));
  }

  dispose(): void {
    this.#inner.dispose();
  }

  #announced(region: DmaRegion): DmaRegion {
    region.writeDeviceAddress(0, this.#words, 0);
    this.#iotlb.announce(this.#words[0]!, this.#words[1]!, region.length);
    return region;
  }
}
