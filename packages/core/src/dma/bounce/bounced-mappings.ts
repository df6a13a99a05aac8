import { PAGE_SIZE, type GuestMemory } from '../../memory/guest-memory.ts';
import type { DmaMapping } from '../dma-mapping.ts';
import { BouncedDmaMapping, type SharedBouncePool } from './bounced-dma-mapping.ts';
import { BouncePool } from './bounce-pool.ts';

/**
 * The bounced mappings of one device: all of its queues copy through one pool, which is shared with the device when the first
 * queue needs it.
 */
export class BouncedMappings {
  readonly #memory: GuestMemory;
  readonly #poolBytes: number;
  readonly #openShared: () => DmaMapping;
  readonly #mappings: DmaMapping[] = [];
  #pool: SharedBouncePool | undefined;
  #poolMapping: DmaMapping | undefined;

  /**
   * `openShared` opens a mapping that allocates memory which the device sees, and gives it device addresses. Nothing is ever
   * mapped in it by buffer: an address that was not shared is of no use to the device.
   */
  constructor(memory: GuestMemory, poolBytes: number, openShared: () => DmaMapping) {
    this.#memory = memory;
    this.#poolBytes = poolBytes;
    this.#openShared = openShared;
  }

  /** Opens the mapping of one queue. Throws {@link DmaError} where the pool cannot be had. */
  openMapping(capacity: number): DmaMapping {
    const mapping = new BouncedDmaMapping(this.#memory, this.#openPool(), this.#openShared(), capacity);
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
    this.#poolMapping ??= this.#openShared();
    this.#pool ??= {
      slots: new BouncePool({ bytes: this.#poolBytes }),
      region: this.#poolMapping.allocateCoherent(this.#poolBytes, PAGE_SIZE),
    };
    return this.#pool;
  }
}
