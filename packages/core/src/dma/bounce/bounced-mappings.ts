import { PAGE_SIZE, type GuestMemory } from '../../memory/guest-memory.ts';
import type { DmaMapping, MappingRequest } from '../dma-mapping.ts';
import type { AddressRange } from '../address-range.ts';
import { BouncedDmaMapping, type SharedBouncePool } from './bounced-dma-mapping.ts';
import { BouncePool, type BouncePoolOptions, type BouncePoolStatistics } from './bounce-pool.ts';

/**
 * The bounced mappings of one device. All of its queues copy through one pool, which the guest shares with the device
 * when the first queue needs it.
 */
export class BouncedMappings {
  readonly #memory: GuestMemory;
  readonly #options: BouncePoolOptions;
  readonly #openShared: () => DmaMapping;
  readonly #mappings: DmaMapping[] = [];
  #pool: SharedBouncePool | undefined;
  #poolMapping: DmaMapping | undefined;

  /**
   * `openShared` opens a mapping that allocates memory which the device sees, and gives it device addresses. Buffers
   * are never mapped in it: the device cannot use the address of memory that is not shared.
   */
  constructor(memory: GuestMemory, options: Omit<BouncePoolOptions, 'base'>, openShared: () => DmaMapping) {
    this.#memory = memory;
    this.#options = options;
    this.#openShared = openShared;
  }

  /** Counters of the pool's slots; `undefined` before the pool is opened. */
  get poolStatistics(): BouncePoolStatistics | undefined {
    return this.#pool?.slots.statistics;
  }

  /** The pool, as a platform shows it; empty before it is opened. */
  get addressRanges(): readonly AddressRange[] {
    if (this.#pool === undefined) return [];
    const { region } = this.#pool;
    const { address, length } = region;
    const words = new Uint32Array(2);
    region.writeDeviceAddress(0, words, 0);
    const deviceAddress = (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
    return [{ what: 'bounce pool', kind: 'pool', deviceAddress, address, length }];
  }

  /**
   * Opens the mapping of one queue, which searches an area of its own first. Throws {@link DmaError} when the pool
   * cannot be allocated.
   */
  openMapping({ queue, capacity }: MappingRequest): DmaMapping {
    const mapping = new BouncedDmaMapping(this.#memory, this.#openPool(), this.#openShared(), capacity, queue);
    this.#mappings.push(mapping);
    return mapping;
  }

  /** Disposes the mappings before the pool: their live slots lie in it. */
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
    // Alignment and boundary depend on low bits, so the highest bits of the address can be dropped.
    const base = (words[1]! & 0xffff) * 0x1_0000_0000 + words[0]!;
    return (this.#pool = { slots: new BouncePool({ ...this.#options, base }), region });
  }
}
