import type { DmaDirection } from '../dma/dma-direction.ts';
import { DMA_NO_SPACE, type DmaMapping } from '../dma/dma-mapping.ts';
import type { DmaRegion } from '../dma/dma-region.ts';
import { ForwardingDmaMapping } from '../dma/forwarding-dma-mapping.ts';
import { DmaError } from '../errors/coded-error.ts';
import type { FailurePlan } from './failure-plan.ts';

/** What fails on purpose in a mapping: single mappings, and what is mapped for long. */
export interface DmaFailures {
  readonly map: FailurePlan;
  readonly region: FailurePlan;
  /** Mappings whose address is not the one that the device is told: of single buffers, and of pools that are premapped. */
  readonly withhold: FailurePlan;
}

/** Above any guest memory or window of ours, and below the 39 bits of a small IOMMU. */
const WITHHELD_BIT = 38;

/**
 * A mapping that fails on purpose. Sometimes there is no room, as in a full pool or window. And sometimes it is withheld: made and given
 * back as always, so that nothing leaks, but the device is told of an address at which nothing is mapped, as by a driver that forgot
 * to map. Owns what it wraps.
 */
export class FailingDmaMapping extends ForwardingDmaMapping {
  readonly #failures: DmaFailures;
  /** In the high word and in the low one: the bit in which a withheld address is wrong. */
  readonly #wrongHigh: number;
  readonly #wrongLow: number;

  constructor(inner: DmaMapping, failures: DmaFailures) {
    super(inner);
    this.#failures = failures;
    const bit = Math.min(WITHHELD_BIT, inner.limits.addressBits - 1);
    this.#wrongHigh = bit >= 32 ? 2 ** (bit - 32) : 0;
    this.#wrongLow = bit >= 32 ? 0 : 2 ** bit;
  }

  override map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (this.#failures.map.next()) return DMA_NO_SPACE;
    const id = super.map(address, length, direction, words, at);
    if (id >= 0 && this.#failures.withhold.next()) this.#misdirect(words, at);
    return id;
  }

  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    this.#checkRegion(length);
    const region = super.premap(address, length, direction);
    return this.#failures.withhold.next() ? new WithheldRegion(region, this.#misdirect) : region;
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    this.#checkRegion(length);
    return super.allocateCoherent(length, alignment);
  }

  readonly #misdirect = (words: Uint32Array, at: number): void => {
    words[at]! ^= this.#wrongLow;
    words[at + 1]! ^= this.#wrongHigh;
  };

  #checkRegion(length: number): void {
    if (!this.#failures.region.next()) return;
    throw new DmaError('ERR_DMA_EXHAUSTED', `no room for a region of ${length} bytes: it was to fail on purpose`, {
      hint: 'failures.region of the profile asks for it',
    });
  }
}

/** A region whose device addresses are not those at which it is mapped. */
class WithheldRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly #inner: DmaRegion;
  readonly #misdirect: (words: Uint32Array, at: number) => void;

  constructor(inner: DmaRegion, misdirect: (words: Uint32Array, at: number) => void) {
    this.address = inner.address;
    this.length = inner.length;
    this.direction = inner.direction;
    this.#inner = inner;
    this.#misdirect = misdirect;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    this.#inner.writeDeviceAddress(offset, words, at);
    this.#misdirect(words, at);
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
