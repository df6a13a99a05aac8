import { PageTable, type EntryFormat, type PageTableShape } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ENTRY_LARGE, ENTRY_READ, ENTRY_WRITE } from '../unit/vtd-registers.ts';

const PERMISSIONS = ENTRY_READ | ENTRY_WRITE;

/** Entries of second-level tables: the permissions are those of the driver. */
const SECOND_LEVEL_ENTRIES: EntryFormat = {
  page: [0, ENTRY_READ, ENTRY_WRITE, PERMISSIONS].map((low) => ({ low, high: 0 })),
  large: [0, ENTRY_READ, ENTRY_WRITE, PERMISSIONS].map((low) => ({ low: low | ENTRY_LARGE, high: 0 })),
  table: () => ({ low: PERMISSIONS, high: 0 }),
  permissionsOf: (low) => low & PERMISSIONS,
  isLarge: (low) => (low & ENTRY_LARGE) !== 0,
  levelName: String,
};

/** The second-level page tables of a domain (VT-d specification, second-stage paging entries). */
export class SecondLevelTable extends PageTable {
  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  constructor(memory: GuestMemory, shape: PageTableShape) {
    super(memory, SECOND_LEVEL_ENTRIES, shape);
  }
}
