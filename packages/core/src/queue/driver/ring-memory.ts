import { checkRegion } from '../../dma/check-region.ts';
import type { DmaMapping } from '../../dma/dma-mapping.ts';
import type { DmaRegion } from '../../dma/dma-region.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { DESCRIPTOR_SIZE } from '../ring/descriptor-table.ts';
import type { QueueAddresses } from '../ring/ring-format.ts';

/** Places of a ring's areas in one allocation, in bytes. The layouts of split and packed rings both have these. */
export interface RingLayout {
  readonly driverOffset: number;
  readonly deviceOffset: number;
  readonly totalBytes: number;
  readonly alignment: number;
}

/**
 * The memory of a driver's end: the three areas of the ring in one region, and an indirect table for every head in
 * another.
 */
export class RingMemory {
  readonly ring: DmaRegion;
  readonly tables: DmaRegion | undefined;
  readonly addresses: QueueAddresses;

  /**
   * Allocates both regions in `guest`. `tableEntries` is 0 for a ring without tables. Throws {@link DmaError} when the
   * memory is exhausted, and {@link ContractError} for a value that is no region; then nothing stays allocated.
   */
  constructor(guest: GuestMemory, mapping: DmaMapping, size: number, layout: RingLayout, tableEntries: number) {
    const allocate = (bytes: number, alignment: number): DmaRegion =>
      checkRegion('allocateCoherent', mapping.allocateCoherent(bytes, alignment), bytes, alignment, guest);
    this.ring = allocate(layout.totalBytes, layout.alignment);
    try {
      const bytes = size * tableEntries * DESCRIPTOR_SIZE;
      this.tables = bytes > 0 ? allocate(bytes, DESCRIPTOR_SIZE) : undefined;
    } catch (error) {
      this.ring.release();
      throw error;
    }
    const words = new Uint32Array(6);
    this.ring.writeDeviceAddress(0, words, 0);
    this.ring.writeDeviceAddress(layout.driverOffset, words, 2);
    this.ring.writeDeviceAddress(layout.deviceOffset, words, 4);
    this.addresses = { size, words };
  }

  release(): void {
    this.tables?.release();
    this.ring.release();
  }
}
