import { ForwardingDmaMapping, type DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import type { Iotlb } from './iotlb.ts';

/**
 * A mapping of which a back-end hears at once, and not only when it asks: whatever the driver maps is known before the driver passes
 * the address on. Owns what it wraps. Taking back is not its business: the facility behind the mapping is watched.
 */
export class AnnouncedDmaMapping extends ForwardingDmaMapping {
  readonly #iotlb: Iotlb;
  readonly #words = new Uint32Array(2);

  constructor(inner: DmaMapping, iotlb: Iotlb) {
    super(inner);
    this.#iotlb = iotlb;
  }

  override map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    const id = super.map(address, length, direction, words, at);
    if (id >= 0) this.#iotlb.announce(words[at]!, words[at + 1]!, length);
    return id;
  }

  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    return this.#announced(super.premap(address, length, direction));
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#announced(super.allocateCoherent(length, alignment));
  }

  #announced(region: DmaRegion): DmaRegion {
    region.writeDeviceAddress(0, this.#words, 0);
    this.#iotlb.announce(this.#words[0]!, this.#words[1]!, region.length);
    return region;
  }
}
