import { describe, expect, it } from 'vitest';
import { openDomainParts } from '../../../src/dma/iommu/domain-parts.ts';
import type { EntryFormat } from '../../../src/dma/iommu/entry-format.ts';
import { IovaPages } from '../../../src/dma/iommu/iova-pages.ts';
import { PageTable } from '../../../src/dma/iommu/page-table.ts';
import { GuestMemory } from '../../../src/memory/guest-memory.ts';
import { LeakLog } from '../../../src/memory/leak-log.ts';

const PAGE = 4096;
const FORMAT: EntryFormat = {
  page: [0, 1, 2, 3].map((low) => ({ low, high: 0 })),
  large: [0, 1, 2, 3].map((low) => ({ low: low | 4, high: 0 })),
  table: () => ({ low: 3, high: 0 }),
  permissionsOf: (low) => low & 3,
  isLarge: (low) => (low & 4) !== 0,
  levelName: String,
};

describe('an identity domain', () => {
  it('maps memory to itself, and nothing in a hole of it', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(1024 * PAGE), PAGE, {
      address: 256 * PAGE,
      length: 128 * PAGE,
    });
    const { table } = openDomainParts(memory, {
      kind: 'identity',
      reach: memory.size,
      onLostInvalidation: 'keep',
      openPages: () => new IovaPages(16),
      openTable: (pages) => new PageTable(memory, FORMAT, { levels: 2, pages, largePages: true }),
      platform: 'test',
      leaks: new LeakLog(memory),
      noRoom: () => new Error('no room'),
    });
    const leadTo = [0, 255, 256, 383, 384, 1023].map((page) => table!.resolve(page * PAGE, 0) / PAGE);
    expect(leadTo).toEqual([0, 255, -1 / PAGE, -1 / PAGE, 384, 1023]);
  });
});
