import { PAGE_SIZE, type GuestMemory } from '../../memory/guest-memory.ts';
import type { DmaMapping, MappingRequest } from '../dma-mapping.ts';
import type { AddressRange } from '../address-range.ts';
import { BouncedDmaMapping } from './bounced-dma-mapping.ts';
import { BouncePools, type BouncePoolsOptions, type BouncePoolStatistics } from './bounce-pools.ts';

/**
 * The bounced mappings of one device. All of its queues copy through the same pools, the first of which the guest
 * shares with the device when the first queue needs it.
 */
export class BouncedMappings {
  readonly #memory: GuestMemory;
  readonly #options: BouncePoolsOptions;
  readonly #openShared: () => DmaMapping;
  readonly #openRings: (pools: BouncePools) => DmaMapping;
  readonly #mappings: DmaMapping[] = [];
  #pools: BouncePools | undefined;
  #poolMapping: DmaMapping | undefined;

  /**
   * `openShared` opens a mapping that allocates memory which the device sees, and gives it device addresses. Buffers
   * are never mapped in it: the device cannot use the address of memory that is not shared. `openRings` opens such a
   * mapping for what is coherent, such as rings, where that comes from elsewhere, or from the pools too.
   */
  constructor(
    memory: GuestMemory,
    options: BouncePoolsOptions,
    openShared: () => DmaMapping,
    openRings: (pools: BouncePools) => DmaMapping = openShared,
  ) {
    this.#memory = memory;
    this.#options = options;
    this.#openShared = openShared;
    this.#openRings = openRings;
  }

  /** Counters of the slots of all pools; `undefined` before the first is opened. */
  get poolStatistics(): BouncePoolStatistics | undefined {
    return this.#pools?.statistics;
  }

  /** The pools, as a platform shows them; empty before the first is opened. */
  get addressRanges(): readonly AddressRange[] {
    return this.#pools?.addressRanges ?? [];
  }

  /** Opens the first pool, and compares its device address with its physical one. Throws {@link DmaError}. */
  probeIdentity(): boolean {
    const [pool] = this.#openPools().addressRanges;
    return pool!.deviceAddress === BigInt(pool!.address!);
  }

  /**
   * Opens the mapping of one queue, which searches an area of its own first. Throws {@link DmaError} when the pool
   * cannot be allocated.
   */
  openMapping({ queue, capacity }: MappingRequest): DmaMapping {
    const pools = this.#openPools();
    const mapping = new BouncedDmaMapping(this.#memory, pools, this.#openRings(pools), capacity, queue);
    this.#mappings.push(mapping);
    return mapping;
  }

  /** Disposes the mappings before the pools: their live slots lie in them. */
  dispose(): void {
    for (const mapping of this.#mappings) mapping.dispose();
    this.#poolMapping?.dispose();
    this.#pools = undefined;
    this.#poolMapping = undefined;
  }

  #openPools(): BouncePools {
    const mapping = (this.#poolMapping ??= this.#openShared());
    return (this.#pools ??= new BouncePools(this.#options, (bytes) => mapping.allocateCoherent(bytes, PAGE_SIZE)));
  }
}
