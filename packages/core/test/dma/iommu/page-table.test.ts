import { describe, expect, it } from 'vitest';
import { PAGE_READ, PAGE_WRITE, type EntryFormat } from '../../../src/dma/iommu/entry-format.ts';
import { PageTable } from '../../../src/dma/iommu/page-table.ts';
import { GuestMemory } from '../../../src/memory/guest-memory.ts';

const READ_WRITE = PAGE_READ | PAGE_WRITE;
const PAGE = 4096;

/** Entries whose low word is the permission, and 8 where nothing is mapped. */
const FORMAT: EntryFormat = {
  absent: 8,
  page: [8, 1, 2, 3].map((low) => ({ low, high: 0 })),
  large: [8, 1, 2, 3].map((low) => ({ low: low | 4, high: 0 })),
  table: () => ({ low: READ_WRITE, high: 0 }),
  permissionsOf: (low) => low & READ_WRITE,
  isLarge: (low) => (low & 4) !== 0,
  levelName: String,
};

function openTable(shape: { levels: number; pages: number; largePages: boolean }): {
  readonly memory: GuestMemory;
  readonly table: PageTable;
} {
  const memory = new GuestMemory(new SharedArrayBuffer(2 ** 22));
  return { memory, table: new PageTable(memory, FORMAT, shape) };
}

describe('page tables whose absent entries are not 0', () => {
  it('begin with absent entries, the tables that are added too', () => {
    const { memory, table } = openTable({ levels: 2, pages: 2 ** 18, largePages: false });
    expect(table.map(5, 1, 9, PAGE_READ)).toBe(true);
    const root = memory.u32.subarray(table.root / 4, (table.root + PAGE) / 4);
    expect([...new Set(root.filter((_, i) => i % 2 === 0).slice(1))]).toEqual([8]);
    const leaf = (root[0]! & -PAGE) >>> 0;
    const entries = memory.u32.subarray(leaf / 4, (leaf + PAGE) / 4).filter((_, i) => i % 2 === 0);
    expect(entries.slice(0, 7)).toEqual(Uint32Array.of(8, 8, 8, 8, 8, (9 * PAGE) | PAGE_READ, 8));
    expect(table.resolve(5 * PAGE, 0)).toBe(9 * PAGE);
    expect(table.resolve(6 * PAGE, 0)).toBe(-1);
  });

  it('get them back when pages are unmapped, large ones too', () => {
    const { memory, table } = openTable({ levels: 2, pages: 2 ** 18, largePages: true });
    expect(table.map(512, 512, 0, READ_WRITE)).toBe(true);
    expect(memory.u32[table.root / 4 + 2]! & 0xf).toBe(READ_WRITE | 4);
    table.unmap(512, 512);
    expect(memory.u32[table.root / 4 + 2]).toBe(8);
    table.map(3, 1, 1, READ_WRITE);
    table.unmap(3, 1);
    expect(table.permissions(3 * PAGE, 0)).toBe(0);
  });
});

describe('page tables of one level', () => {
  it('map the pages of their only table', () => {
    const { table } = openTable({ levels: 1, pages: 512, largePages: false });
    expect(table.map(511, 1, 7, PAGE_WRITE)).toBe(true);
    expect([table.resolve(511 * PAGE + 3, 0), table.permissions(511 * PAGE, 0)]).toEqual([7 * PAGE + 3, PAGE_WRITE]);
    expect(table.walk(511 * PAGE, 0)).toHaveLength(1);
  });
});

describe('whether page tables lead each page to itself', () => {
  it('is read from the tables in memory', () => {
    const { memory, table } = openTable({ levels: 2, pages: 1024, largePages: false });
    table.map(0, 1024, 0, READ_WRITE);
    expect(table.isOneToOne(1024)).toBe(true);
    const leaf = (memory.u32[table.root / 4 + 2]! & -PAGE) >>> 0;
    memory.u32[leaf / 4] = (600 * PAGE) | READ_WRITE;
    expect([table.isOneToOne(512), table.isOneToOne(513), table.isOneToOne(1024, 513)]).toEqual([true, false, true]);
    memory.u32[leaf / 4] = (512 * PAGE) | PAGE_READ;
    expect(table.isOneToOne(1024)).toBe(false);
  });
});
