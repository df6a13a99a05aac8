import { DMA_NO_SPACE, type DmaMapping } from '../dma/dma-mapping.ts';
import type { DmaDirection, DmaRegion } from '../dma/dma-region.ts';
import { ForwardingDmaMapping, ForwardingDmaRegion } from '../dma/forwarding-dma-mapping.ts';
import { DmaError } from '../errors/coded-error.ts';
import type { FailurePlan } from './failure-plan.ts';

/** Which calls of a mapping fail. */
export interface DmaFailures {
  /** `map` finds no space. */
  readonly map: FailurePlan;
  /** `premap` and `allocateCoherent` find no space. */
  readonly region: FailurePlan;
  /** `map` and `premap` give the device an address at which nothing is mapped. */
  readonly wrongAddress: FailurePlan;
}

/** Bit above all guest memory and windows of this repository, and below the 39 bits of a small IOMMU. */
const WRONG_ADDRESS_BIT = 38;

/**
 * Injects failures into a mapping. `map` and regions find no space, as in a full pool or window. With a wrong address
 * the memory is mapped and unmapped as always, so that nothing leaks, but the device gets an address at which nothing
 * is mapped, as from a driver that forgot to map. Owns the wrapped mapping.
 */
export class FailingDmaMapping extends ForwardingDmaMapping {
  readonly #failures: DmaFailures;
  /** The bit in which a wrong address differs, in the high word or in the low one; the other is 0. */
  readonly #wrongHigh: number;
  readonly #wrongLow: number;

  constructor(inner: DmaMapping, failures: DmaFailures) {
    super(inner);
    this.#failures = failures;
    const bit = Math.min(WRONG_ADDRESS_BIT, inner.limits.addressBits - 1);
    this.#wrongHigh = bit >= 32 ? 2 ** (bit - 32) : 0;
    this.#wrongLow = bit >= 32 ? 0 : 2 ** bit;
  }

  override map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    if (this.#failures.map.next()) return DMA_NO_SPACE;
    const id = super.map(address, length, direction, words, at);
    if (id >= 0 && this.#failures.wrongAddress.next()) this.#makeWrong(words, at);
    return id;
  }

  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    this.#checkRegion(length);
    const region = super.premap(address, length, direction);
    return this.#failures.wrongAddress.next() ? new WrongAddressRegion(region, this.#makeWrong) : region;
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    this.#checkRegion(length);
    return super.allocateCoherent(length, alignment);
  }

  readonly #makeWrong = (words: Uint32Array, at: number): void => {
    words[at]! ^= this.#wrongLow;
    words[at + 1]! ^= this.#wrongHigh;
  };

  #checkRegion(length: number): void {
    if (!this.#failures.region.next()) return;
    throw new DmaError('ERR_DMA_EXHAUSTED', `injected failure (failures.region): region of ${length} bytes`, {
      hint: 'failures.region of the profile asks for it',
    });
  }
}

/** A region that gives the device addresses at which nothing is mapped. */
class WrongAddressRegion extends ForwardingDmaRegion {
  readonly #makeWrong: (words: Uint32Array, at: number) => void;

  constructor(inner: DmaRegion, makeWrong: (words: Uint32Array, at: number) => void) {
    super(inner);
    this.#makeWrong = makeWrong;
  }

  override writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    super.writeDeviceAddress(offset, words, at);
    this.#makeWrong(words, at);
  }
}
