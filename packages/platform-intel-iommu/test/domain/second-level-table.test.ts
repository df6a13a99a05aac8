import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { SecondLevelTable } from '../../src/domain/second-level-table.ts';
import { MIB, PAGE } from '../remapped-guest.ts';
const READ_WRITE = 3;

function newMemory(bytes = 4 * MIB): GuestMemory {
  return new GuestMemory(new SharedArrayBuffer(bytes));
}

/** Walks by hand, as the specification has it: 9 bits a level, addresses in bits 12 and up. */
function entryAt(memory: GuestMemory, table: SecondLevelTable, indexes: readonly number[]): bigint {
  let entry = BigInt(table.root);
  for (const index of indexes) entry = memory.view.getBigUint64(Number(entry & ~0xfffn) + index * 8, true);
  return entry;
}

describe('SecondLevelTable', () => {
  it('writes three levels of little-endian entries', () => {
    const memory = newMemory();
    const table = new SecondLevelTable(memory, { levels: 3, pages: 2 ** 20, largePages: true });
    // Address 0xfedc_b000: indexes 3, 0x1f6, 0x0cb.
    expect(table.map(0xf_edcb, 1, 0x123, 1)).toBe(true);
    expect(entryAt(memory, table, [3]) & 3n).toBe(3n);
    expect(entryAt(memory, table, [3, 0x1f6]) & 3n).toBe(3n);
    expect(entryAt(memory, table, [3, 0x1f6, 0x1cb])).toBe(0x12_3001n);
    expect(table.resolve(0xfedc_b678, 0)).toBe(0x12_3678);
    expect([table.permissions(0xfedc_b678, 0), table.permissions(0xfedc_c000, 0)]).toEqual([1, 0]);
  });

  it('writes four levels, and frames beyond 4 GiB', () => {
    const memory = newMemory();
    const table = new SecondLevelTable(memory, { levels: 4, pages: 2 ** 20, largePages: false });
    table.map(0x8_0000, 1, 0x34_5678, 2);
    expect(entryAt(memory, table, [0, 2, 0, 0])).toBe(0x3_4567_8002n);
    expect(table.resolve(0x8000_0fff, 0)).toBe(0x3_4567_8fff);
  });

  it('uses an entry of 2 MiB where both addresses allow it, and small pages around it', () => {
    const memory = newMemory();
    const table = new SecondLevelTable(memory, { levels: 3, pages: 2 ** 20, largePages: true });
    expect(table.map(511, 514, 1023, READ_WRITE)).toBe(true);
    expect(entryAt(memory, table, [0, 1])).toBe(BigInt(1024 * PAGE) | 0x83n);
    for (const page of [511, 512, 700, 1024])
      expect(table.resolve((page * PAGE + 5) >>> 0, 0)).toBe((page + 512) * PAGE + 5);
    table.unmap(511, 514);
    for (const page of [511, 512, 700, 1024]) expect(table.resolve(page * PAGE, 0)).toBe(-1);
    // The place of the large page can have a table next.
    expect(table.map(600, 1, 9, READ_WRITE)).toBe(true);
    expect([table.resolve(600 * PAGE, 0), table.resolve(601 * PAGE, 0)]).toEqual([9 * PAGE, -1]);
  });

  it('uses small pages where large ones are not allowed or a table exists', () => {
    for (const largePages of [true, false]) {
      const memory = newMemory();
      const table = new SecondLevelTable(memory, { levels: 3, pages: 2 ** 20, largePages });
      if (largePages) table.map(512, 1, 7, READ_WRITE);
      table.map(512, 512, 512, READ_WRITE);
      expect(entryAt(memory, table, [0, 1]) & 0x80n).toBe(0n);
      expect(table.resolve(1000 * PAGE, 0)).toBe(1000 * PAGE);
    }
  });

  it('maps nothing without memory for a table, and recovers', () => {
    const memory = newMemory(16 * PAGE);
    const table = new SecondLevelTable(memory, { levels: 3, pages: 2 ** 20, largePages: true });
    table.map(511, 1, 1, READ_WRITE);
    const rest = Array.from({ length: 12 }, () => memory.allocate(PAGE));
    expect(table.map(510, 4, 1, READ_WRITE)).toBe(false);
    expect([510, 512].map((page) => table.permissions(page * PAGE, 0))).toEqual([0, 0]);
    memory.free(rest[0]!);
    expect(table.map(510, 4, 1, READ_WRITE)).toBe(true);
    for (const address of rest.slice(1)) memory.free(address);
    table.free();
    expect(memory.allocated).toBe(0);
  });

  it('resolves nothing beyond its pages', () => {
    const table = new SecondLevelTable(newMemory(), { levels: 3, pages: 512, largePages: true });
    table.map(0, 512, 512, READ_WRITE);
    expect([table.resolve(0, 0), table.resolve(512 * PAGE, 0), table.resolve(0, 1)]).toEqual([512 * PAGE, -1, -1]);
  });
});
