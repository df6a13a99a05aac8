import { PAGE_SIZE, type GuestMemory } from '../../memory/guest-memory.ts';
import type { MappingRequest } from '../../platform/platform.ts';
import type { DmaMapping } from '../dma-mapping.ts';
import { BouncedDmaMapping, type SharedBouncePool } from './bounced-dma-mapping.ts';
import { BouncePool, type BouncePoolOptions, type BouncePoolStatistics } from './bounce-pool.ts';

/**
 * The bounced mappings of one device: all of its queues copy through one pool, which is shared with the device when the first
 * queue needs it.
 */
export class BouncedMappings {
  readonly #memory: GuestMemory;
  readonly #options: BouncePoolOptions;
  readonly #openShared: () => DmaMapping;
  readonly #mappings: DmaMapping[] = [];
  #pool: SharedBouncePool | undefined;
  #poolMapping: DmaMapping | undefined;

  /**
   * `openShared` opens a mapping that allocates memory which the device sees, and gives it device addresses. Nothing is ever
   * mapped in it by buffer: an address that was not shared is of no use to the device.
   */
  constructor(memory: GuestMemory, options: Omit<BouncePoolOptions, 'base'>, openShared: () => DmaMapping) {
    this.#memory = memory;
    this.#options = options;
    this.#openShared = openShared;
  }

  /** What became of the pool's slots; `undefined` while there is none. */
  get poolStatistics(): BouncePoolStatistics | undefined {
    return this.#pool?.slots.statistics;
  }

  /** Opens the mapping of one queue, which looks in an area of its own first. Throws {@link DmaError} where the pool cannot be had. */
  openMapping({ queue, capacity }: MappingRequest): DmaMapping {
    const mapping = new BouncedDmaMapping(this.#memory, this.#openPool(), this.#openShared(), capacity, queue);
    this.#mappings.push(mapping);
    return mapping;
  }

  /** Disposes the mappings before the pool: what they still hold lies in it. */
  dispose(): void {
    for (const mapping of this.#mappings) mapping.dispose();
    this.#poolMapping?.dispose();
    this.#pool = undefined;
    this.#poolMapping = undefined;
  }

  #openPool(): SharedBouncePool {
    if (this.#pool !== undefined) return this.#pool;
    this.#poolMapping ??= this.#openShared();
    const region = this.#poolMapping.allocateCoherent(this.#options.bytes, PAGE_SIZE);
    const words = new Uint32Array(2);
    region.writeDeviceAddress(0, words, 0);
    // What alignment and boundary depend on are low bits: the highest of an address do not matter.
    const base = (words[1]! & 0xffff) * 0x1_0000_0000 + words[0]!;
    return (this.#pool = { slots: new BouncePool({ ...this.#options, base }), region });
  }
}
