import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { LegacyRequesterTables } from '../../src/domain/legacy-requester-tables.ts';
import { ScalableRequesterTables } from '../../src/domain/scalable-requester-tables.ts';
import { PAGE } from '../remapped-guest.ts';

const TRANSLATED = { isPassThrough: false, table: 0x12_3456_7000, width: 1, domain: 5 };
const PASS_THROUGH = { isPassThrough: true, table: 0, width: 2, domain: 5 };

const newMemory = (pages = 16): GuestMemory => new GuestMemory(new SharedArrayBuffer(pages * PAGE));
const at = (memory: GuestMemory, address: number): bigint => memory.view.getBigUint64(address, true);
/** The address in an entry, whose flags are checked. */
function follow(memory: GuestMemory, address: number): number {
  const entry = at(memory, address);
  expect(entry & 0xfffn).toBe(1n);
  return Number(entry & ~0xfffn);
}

describe('LegacyRequesterTables', () => {
  it('write root and context entry', () => {
    const memory = newMemory();
    const tables = new LegacyRequesterTables(memory, 0x0320, TRANSLATED);
    const context = follow(memory, tables.root + 3 * 16) + 0x20 * 16;
    expect([at(memory, context), at(memory, context + 8)]).toEqual([0x12_3456_7001n, 0x501n]);
    const through = new LegacyRequesterTables(memory, 0x20, PASS_THROUGH);
    const other = follow(memory, through.root) + 0x20 * 16;
    expect([at(memory, other), at(memory, other + 8)]).toEqual([9n, 0x502n]);
  });
});

describe('ScalableRequesterTables', () => {
  it.each([
    [0x20, 0, 0x20],
    [0x7f, 0, 0x7f],
    [0x0380, 3 * 16 + 8, 0],
    [0xffff, 255 * 16 + 8, 0x7f],
  ])('lead from requester %i to the entry of PASID 0', (sourceId, rootOffset, index) => {
    const memory = newMemory();
    const tables = new ScalableRequesterTables(memory, sourceId, TRANSLATED);
    expect(tables.root % PAGE).toBe(0x400);
    const context = follow(memory, tables.root - 0x400 + rootOffset) + index * 32;
    const pasid = follow(memory, follow(memory, context));
    expect([at(memory, context + 8), at(memory, pasid), at(memory, pasid + 8)]).toEqual([
      0n,
      // Present, three levels, second level only.
      0x12_3456_7085n,
      5n,
    ]);
  });

  it('say pass-through in the PASID entry', () => {
    const memory = newMemory();
    const tables = new ScalableRequesterTables(memory, 0x20, PASS_THROUGH);
    const pasid = follow(memory, follow(memory, follow(memory, tables.root - 0x400) + 0x20 * 32));
    expect([at(memory, pasid), at(memory, pasid + 8)]).toEqual([0x109n, 5n]);
  });
});

describe.each([
  ['legacy', LegacyRequesterTables, 2],
  ['scalable', ScalableRequesterTables, 4],
] as const)('tables of %s mode', (_mode, Tables, pages) => {
  it('know when an entry was changed', () => {
    const memory = newMemory();
    const tables = new Tables(memory, 0x20, TRANSLATED);
    expect(tables.isIntact()).toBe(true);
    for (let word = 0; word < (pages * PAGE) / 4; word++) {
      const address = (tables.root & -PAGE) / 4 + word;
      const value = memory.u32[address]!;
      if (value === 0) continue;
      memory.u32[address] = 0;
      expect(tables.isIntact()).toBe(false);
      memory.u32[address] = value;
    }
    expect(tables.isIntact()).toBe(true);
  });

  it('say the way in words', () => {
    const steps = new Tables(newMemory(), 0x0321, TRANSLATED).walk();
    expect(steps[0]).toEqual({ table: 'root table at 0x1000', says: 'bus 3 has the context table at 0x2000' });
    expect(steps.map(({ says }) => says).join('; ')).toMatch(/03:04\.1 .*domain 5, tables at 0x1234567000/);
    const through = new Tables(newMemory(), 0x20, PASS_THROUGH).walk();
    expect(through.at(-1)!.says).toMatch(/pass-through/);
  });

  it('take nothing where memory ends, and give everything back', () => {
    const memory = newMemory(pages);
    expect(() => new Tables(memory, 0x20, TRANSLATED)).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    expect(memory.allocated).toBe(0);
    const enough = newMemory(pages + 1);
    new Tables(enough, 0x20, TRANSLATED).free();
    expect(enough.allocated).toBe(0);
  });
});
