import { describe, expect, it } from 'vitest';
import { DATA, DESCRIPTOR, HandMadeUnit, TABLES } from '../hand-made-unit.ts';

/** Valid, page or table, unprivileged, accessed. */
const PAGE_ENTRY = 0x443n;
const READ_ONLY = 0x80n;
const UNMAPPED = 0x8000_2000;

/** Tables of pages of 4 KiB in which 0x80000000 leads to the data. */
function openPages(options: object = {}, eventBits?: number): HandMadeUnit {
  const made = new HandMadeUnit(options, eventBits);
  made.write(TABLES[0]! + 8 * 2, BigInt(TABLES[1]!) | 3n);
  made.write(TABLES[1]!, BigInt(TABLES[2]!) | 3n);
  made.write(TABLES[2]!, BigInt(DATA) | PAGE_ENTRY);
  made.memory.u8[DATA + 5] = 7;
  return made;
}

describe('a simulated SMMU', () => {
  it('translates by pages of 4 KiB, and bypasses while it is off', () => {
    const made = openPages();
    expect([made.reads(0x8000_0005), made.writes(0x8000_0006), made.memory.u8[DATA + 6]]).toEqual([7, 'done', 0x5a]);
    expect(made.events()).toEqual([]);
    made.unit.write32(0x20, 0xc);
    expect(made.reads(DATA + 5)).toBe(7);
  });

  it.each([
    ['16 KiB', 2, 14, 11, 25, 3],
    ['64 KiB', 1, 16, 13, 25, 2],
    ['64 KiB and 48 bits', 1, 16, 13, 16, 3],
    ['4 KiB and 48 bits', 0, 12, 9, 16, 4],
    ['4 KiB and 32 bits', 0, 12, 9, 32, 3],
  ])('translates by pages of %s', (_, tg, shift, bits, t0sz, levels) => {
    const made = new HandMadeUnit();
    made.descriptor({ t0sz, tg });
    const address = 0x7abc_4000;
    for (let level = 0; level < levels; level++) {
      const index = Math.floor(address / 2 ** (shift + bits * (levels - 1 - level))) % 2 ** bits;
      const isLast = level === levels - 1;
      made.write(TABLES[level]! + 8 * index, isLast ? BigInt(DATA) | PAGE_ENTRY : BigInt(TABLES[level + 1]!) | 3n);
    }
    made.memory.u8[DATA + (address % 2 ** shift) + 9] = 3;
    expect([made.reads(address + 9), made.events()]).toEqual([3, []]);
    // One byte behind the page is another one.
    expect(made.reads(address - (address % 2 ** shift) + 2 ** shift)).toBe('unmapped');
  });

  it('translates by blocks, at the levels that have them', () => {
    const made = openPages();
    made.write(TABLES[1]! + 8, 0x20_0000n | 0x441n);
    made.memory.u8[DATA + 5] = 9;
    expect(made.reads(0x8020_0000 + DATA - 0x20_0000 + 5)).toBe(9);
    // A block of 1 GiB has zeros in the lower bits of its address, which is the start of memory.
    made.write(TABLES[0]! + 8, 0x441n);
    expect(made.reads(0x4000_0000 + DATA + 5)).toBe(9);
    // There is none at the last level, and none of 64 GiB with pages of 64 KiB.
    made.write(TABLES[2]! + 8, BigInt(DATA) | 0x441n);
    expect(made.reads(0x8000_1000)).toBe('unmapped');
    made.descriptor({ tg: 1, t0sz: 16 });
    made.write(TABLES[0]!, 0x441n);
    expect([made.reads(5), made.events()]).toEqual(['unmapped', ['10 read 80001000 of 32', '10 read 5 of 32']]);
  });

  it.each([
    ['nothing is mapped', 0n, 'unmapped', '10'],
    ['the access flag is clear', 0x43n, 'iommu-error', '12'],
    ['only privileged accesses are permitted', 0x403n, 'read-not-permitted', '13'],
    ['the page is beyond the physical addresses', PAGE_ENTRY | (1n << 45n), 'iommu-error', '11'],
  ])('writes an event where %s', (_, entry, cause, type) => {
    const made = openPages();
    made.write(TABLES[2]! + 16, entry === 0n ? 0n : BigInt(DATA) | entry);
    expect([made.reads(UNMAPPED), made.events()]).toEqual([cause, [`${type} read ${UNMAPPED.toString(16)} of 32`]]);
  });

  it('writes events of what an entry does not permit, also one above the page', () => {
    const made = openPages();
    made.write(TABLES[2]!, BigInt(DATA) | PAGE_ENTRY | READ_ONLY);
    expect([made.reads(0x8000_0005), made.writes(0x8000_0006)]).toEqual([7, 'write-not-permitted']);
    made.write(TABLES[2]!, BigInt(DATA) | PAGE_ENTRY);
    for (const [bits, reads] of [
      [1n << 62n, 7],
      [1n << 61n, 'read-not-permitted'],
    ] as const) {
      made.write(TABLES[1]!, BigInt(TABLES[2]!) | 3n | bits);
      made.command(0x10n);
      expect([made.reads(0x8000_0005), made.writes(0x8000_0006)]).toEqual([reads, 'write-not-permitted']);
    }
    expect(made.events()).toHaveLength(4);
  });

  it('writes events of tables that are not in memory, and of addresses beyond T0SZ', () => {
    const made = openPages();
    made.write(TABLES[0]! + 8 * 3, 0x4000_0003n);
    made.write(TABLES[0]! + 8 * 4, (1n << 45n) | 3n);
    expect([made.reads(0xc000_0000), made.reads(0x1_0000_0000), made.reads(2 ** 39)]).toEqual([
      'iommu-error',
      'iommu-error',
      'unmapped',
    ]);
    expect(made.events()).toEqual(['b read c0000000 of 32', '11 read 100000000 of 32', '10 read 8000000000 of 32']);
  });

  it('uses a translation until its TLBI, and caches nothing that is not mapped', () => {
    const made = openPages();
    expect([made.reads(0x8000_0005), made.reads(UNMAPPED)]).toEqual([7, 'unmapped']);
    made.write(TABLES[2]!, 0n);
    made.write(TABLES[2]! + 16, BigInt(DATA) | PAGE_ENTRY);
    expect([made.reads(0x8000_0005), made.reads(UNMAPPED + 5)]).toEqual([7, 7]);
    // Those of another ASID and of another page drop nothing.
    made.command(0x12n | (6n << 48n), 0x8000_0001n);
    made.command(0x11n | (6n << 48n));
    made.command(0x12n | (5n << 48n), 0x8000_1001n);
    expect(made.reads(0x8000_0005)).toBe(7);
    const { generation } = made.space;
    made.command(0x12n | (5n << 48n), 0x8000_0001n);
    expect([made.reads(0x8000_0005), made.space.generation === generation]).toEqual(['unmapped', false]);
    made.write(TABLES[2]! + 16, 0n);
    expect(made.reads(UNMAPPED + 5)).toBe(7);
    made.command(0x11n | (5n << 48n));
    expect(made.reads(UNMAPPED + 5)).toBe('unmapped');
  });

  it.each([
    ['by the VA of every ASID', 0x13n, 0x8000_0001n],
    ['of everything', 0x30n, 0n],
  ])('drops a translation by a TLBI %s', (_, first, second) => {
    const made = openPages();
    made.reads(0x8000_0005);
    made.write(TABLES[2]!, 0n);
    made.command(first, second);
    expect(made.reads(0x8000_0005)).toBe('unmapped');
  });

  it('uses a configuration until it is invalidated', () => {
    const made = openPages();
    made.reads(0x8000_0005);
    made.write(DESCRIPTOR, 0n);
    expect(made.reads(0x8000_0005)).toBe(7);
    made.command(0x05n | (0x21n << 32n), 1n);
    expect(made.reads(0x8000_0005)).toBe(7);
    made.command(0x05n | (0x20n << 32n), 1n);
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['iommu-error', ['a read 0 of 32']]);
  });

  it.each([
    ['is not valid', 0n, '4'],
    ['has stage 2', 1n | (6n << 1n), '4'],
    ['has both stages', 1n | (7n << 1n), '4'],
    ['has substreams', 1n | (5n << 1n) | BigInt(DESCRIPTOR) | (1n << 59n), '4'],
    ['has a descriptor outside of memory', 1n | (5n << 1n) | 0x4000_0000n, '9'],
  ])('writes an event where the stream table entry %s', (_, entry, type) => {
    const made = openPages();
    made.stream(entry);
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['iommu-error', [`${type} read 0 of 32`]]);
  });

  it('lets addresses through, or aborts without an event, as the stream table entry says', () => {
    const made = openPages();
    made.stream(1n | (4n << 1n));
    expect([made.reads(DATA + 5), made.reads(0x8000_0005)]).toEqual([7, 'outside-memory']);
    made.stream(1n);
    expect([made.reads(DATA + 5), made.events()]).toEqual(['unmapped', []]);
  });

  it.each([
    ['is not valid', { changed: 1n << 31n }],
    ['has tables of AArch32', { changed: 1n << 41n }],
    ['has big-endian tables', { changed: 1n << 15n }],
    ['stalls', { changed: 1n << 44n }],
    ['lets faulting accesses end without an abort', { changed: 1n << 46n }],
    ['has an unknown granule', { tg: 3 }],
    ['has more bits than the unit', { t0sz: 15 }],
    ['has fewer bits than there can be', { t0sz: 40 }],
  ])('writes an event where the context descriptor %s', (_, different) => {
    const made = openPages();
    made.descriptor(different);
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['iommu-error', ['a read 0 of 32']]);
  });

  it('refuses a granule that it does not have', () => {
    const made = openPages({ granules: ['64KiB'] });
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['iommu-error', ['a read 0 of 32']]);
  });

  it('obeys the context descriptor: no TTB0, no record, no access flag', () => {
    const made = openPages();
    made.write(TABLES[2]! + 8, BigInt(DATA) | 0x43n);
    made.descriptor({ changed: 1n << 35n });
    expect([made.reads(0x8000_1005), made.events()]).toEqual([7, []]);
    made.descriptor({ changed: 1n << 45n });
    expect([made.reads(UNMAPPED), made.events()]).toEqual(['unmapped', []]);
    made.descriptor({ changed: 1n << 14n });
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['unmapped', ['10 read 80000005 of 32']]);
  });

  it('knows no StreamID beyond the stream table, and records that where it is to', () => {
    const made = openPages();
    const restart = (offset: number, value: number): void => {
      made.unit.write32(0x20, 0xc);
      made.unit.write32(offset, value);
      made.unit.write32(0x20, 0xd);
      made.command(0x04n, 31n);
    };
    restart(0x88, 5);
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['unmapped', ['2 read 0 of 32']]);
    restart(0x2c, 0);
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['unmapped', []]);
    restart(0x88, 8);
    restart(0x80, 0x4000_0000);
    expect([made.reads(0x8000_0005), made.events()]).toEqual(['iommu-error', ['3 read 0 of 32']]);
  });

  it('loses events while their queue is full, and shows it until that is acknowledged', () => {
    const made = openPages({}, 1);
    for (let i = 0; i < 4; i++) made.reads(UNMAPPED + i);
    expect(made.unit.read32(0x1_00a8)).toBe(2 ** 31 + 2);
    expect(made.events()).toEqual(['10 read 80002000 of 32', '10 read 80002001 of 32']);
    made.reads(UNMAPPED + 4);
    expect(made.events()).toEqual(['10 read 80002004 of 32']);
    for (let i = 0; i < 3; i++) made.reads(UNMAPPED + i);
    // Lost again: the bit is as it was before.
    expect(made.unit.read32(0x1_00a8)).toBe(1);
  });

  it('reports that the event queue is not in memory', () => {
    const made = openPages();
    made.unit.write32(0x20, 9);
    made.unit.write64(0xa0, 0x4000_0004, 0);
    made.unit.write32(0x20, 0xd);
    made.reads(UNMAPPED);
    made.reads(UNMAPPED);
    expect(made.unit.read32(0x60)).toBe(4);
  });
});
