import { describe, expect, it } from 'vitest';
import { TceTable } from '../../src/memory/tce-table.ts';

const MEMORY = 0x10_0000;
const SECOND = 0x0800_0000_0000_0000n;

function table(base: bigint, pageShift = 12): TceTable {
  return new TceTable({ liobn: 0x8000_0000, base, size: 64 * 2 ** pageShift, pageShift });
}

describe('TceTable', () => {
  it('finds the entry of a bus address, rounded down, and none outside the window', () => {
    const low = table(0n);
    expect(low.indexOf(0x1fff, 0)).toBe(1);
    expect(low.indexOf(64 * 4096, 0)).toBe(-1);
    expect(low.indexOf(0, 0x0800_0000)).toBe(-1);
    const high = table(SECOND);
    expect(high.indexOf(0x2000, 0x0800_0000)).toBe(2);
    expect(high.indexOf(0x2000, 0)).toBe(-1);
    expect(high.busAddress(3)).toBe(SECOND + 0x3000n);
  });

  it('joins entries that are contiguous on the bus and in memory', () => {
    const entries = table(SECOND);
    for (let i = 0; i < 4; i++) entries.set(2 + i, (0x8000 + i * 4096) | 3, 0);
    entries.set(6, 0x4000 | 1, 0);
    entries.set(7, 0x5000 | 2, 0);
    expect(entries.runs(0, 64, MEMORY)).toEqual([
      { guestAddress: SECOND + 0x2000n, offset: 0x8000, size: 0x4000 },
      { guestAddress: SECOND + 0x6000n, offset: 0x4000, size: 0x2000 },
    ]);
  });

  it('leaves out entries that permit nothing or point outside memory', () => {
    const entries = table(0n);
    entries.set(0, 0x1000, 0);
    entries.set(1, 0x1003, 0);
    entries.set(2, 0x2003, 1);
    entries.set(3, MEMORY | 3, 0);
    entries.set(4, 0x3003, 0);
    expect(entries.runs(0, 64, MEMORY)).toEqual([
      { guestAddress: 0x1000n, offset: 0x1000, size: 0x1000 },
      { guestAddress: 0x4000n, offset: 0x3000, size: 0x1000 },
    ]);
  });

  it('cuts a page that memory fills only in part', () => {
    const entries = table(SECOND, 24);
    entries.set(0, 3, 0);
    expect(entries.runs(0, 64, MEMORY)).toEqual([{ guestAddress: SECOND, offset: 0, size: MEMORY }]);
  });

  it('counts from the first entry that is asked for to the last', () => {
    const entries = table(0n);
    for (let i = 0; i < 64; i++) entries.set(i, (i * 4096) | 3, 0);
    expect(entries.runs(62, 2, MEMORY)).toEqual([{ guestAddress: 0x3e000n, offset: 0x3e000, size: 0x2000 }]);
  });
});
