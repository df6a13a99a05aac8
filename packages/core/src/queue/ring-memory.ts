import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { DmaRegion } from '../dma/dma-region.ts';
import { DESCRIPTOR_SIZE } from './split-layout.ts';
import type { QueueAddresses } from './virtqueue.ts';

/** Where the areas of a ring lie in one allocation, in bytes; either layout has these. */
interface RingLayout {
  readonly driverOffset: number;
  readonly deviceOffset: number;
  readonly totalBytes: number;
  readonly alignment: number;
}

/** The memory of a driver's end: the three areas of the ring in one region, and an indirect table for every head in another. */
export class RingMemory {
  readonly ring: DmaRegion;
  readonly tables: DmaRegion | undefined;
  readonly addresses: QueueAddresses;

  /** Throws {@link DmaError} when there is no memory; then nothing stays allocated. `tableEntries` is 0 for no tables. */
  constructor(mapping: DmaMapping, size: number, layout: RingLayout, tableEntries: number) {
    this.ring = mapping.allocateCoherent(layout.totalBytes, layout.alignment);
    try {
      const bytes = size * tableEntries * DESCRIPTOR_SIZE;
      this.tables = bytes > 0 ? mapping.allocateCoherent(bytes, DESCRIPTOR_SIZE) : undefined;
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
