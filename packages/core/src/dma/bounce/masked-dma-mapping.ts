import {
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  type AddressStep,
  type DmaLimits,
  type DmaMapping,
  type DmaPath,
  type DmaStatistics,
} from '../dma-mapping.ts';
import type { DmaDirection, DmaRegion } from '../dma-region.ts';
import { MappingTable } from '../mapping-table.ts';

/**
 * The mapping of a device with a narrow mask and no IOMMU in front of it, as `dma_direct_map_phys` of Linux: a buffer
 * that the device reaches is mapped as it is, and one that ends beyond its mask is copied through slots below. Rings
 * and other coherent memory are allocated below. Hot: no allocation.
 */
export class MaskedDmaMapping implements DmaMapping {
  readonly path: DmaPath;
  readonly limits: DmaLimits;
  readonly #direct: DmaMapping;
  readonly #bounced: DmaMapping;
  readonly #end: number;
  /** The live buffers; `tag` is the id in the mapping that has it. */
  readonly #table: MappingTable;

  /**
   * `direct` maps what lies below its `limits.reach`, and `bounced` copies to where `direct` reaches. Owns and disposes
   * both.
   */
  constructor(direct: DmaMapping, bounced: DmaMapping, capacity: number) {
    const { maxMappingSize, minAlignMask } = bounced.limits;
    const end = direct.limits.reach ?? Infinity;
    this.path = direct.path;
    // A buffer may lie anywhere. The longest one is that of the slots, wherever it lies, as dma_max_mapping_size says.
    const own = { reach: undefined, copiedFrom: end, maxMappings: capacity, maxMappingSize, minAlignMask };
    this.limits = { ...direct.limits, ...own };
    this.#direct = direct;
    this.#bounced = bounced;
    this.#end = end;
    this.#table = new MappingTable(capacity);
  }

  get statistics(): DmaStatistics {
    const [direct, bounced] = [this.#direct.statistics, this.#bounced.statistics];
    return {
      maps: direct.maps + bounced.maps,
      unmaps: direct.unmaps + bounced.unmaps,
      bytesBounced: bounced.bytesBounced,
      live: direct.live + bounced.live,
      leaked: (direct.leaked ?? 0) + (bounced.leaked ?? 0),
    };
  }

  map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    const table = this.#table;
    if (table.live === table.capacity) return DMA_NO_SPACE;
    if (length > this.limits.maxMappingSize) return DMA_TOO_LARGE;
    const inner = this.#of(address, length).map(address, length, direction, words, at);
    if (inner < 0) return inner;
    return table.open(address, length, direction, inner);
  }

  unmap(id: number, written: number): void {
    const table = this.#table;
    const slot = table.slotOf(id);
    this.#of(table.address[slot]!, table.length[slot]!).unmap(table.tag[slot]!, written);
    table.close(slot);
  }

  syncForCpu(id: number, offset: number, length: number): void {
    const table = this.#table;
    const slot = table.checkedSlot(id, offset, length);
    this.#of(table.address[slot]!, table.length[slot]!).syncForCpu(table.tag[slot]!, offset, length);
  }

  syncForDevice(id: number, offset: number, length: number): void {
    const table = this.#table;
    const slot = table.checkedSlot(id, offset, length);
    this.#of(table.address[slot]!, table.length[slot]!).syncForDevice(table.tag[slot]!, offset, length);
  }

  premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    return this.#of(address, length).premap(address, length, direction);
  }

  allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#direct.allocateCoherent(length, alignment);
  }

  resolve(low: number, high: number): number {
    return this.#direct.resolve?.(low, high) ?? -1;
  }

  walk(low: number, high: number): readonly AddressStep[] {
    return this.#bounced.walk?.(low, high) ?? [];
  }

  dispose(): void {
    for (const id of this.#table.liveIds()) this.unmap(id, 0);
    this.#direct.dispose();
    this.#bounced.dispose();
  }

  /** The mapping that has, or takes, a buffer. A range that is none is refused by either. */
  #of(address: number, length: number): DmaMapping {
    return address + length > this.#end ? this.#bounced : this.#direct;
  }
}
