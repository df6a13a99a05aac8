import { FaultLog } from '@virtio-platform/core/address-space';
import { describe, expect, it } from 'vitest';
import { openAddressSpace } from '../../src/simulated/amd-translation.ts';
import { BareUnit, MIB, PAGE, READ, WRITE } from '../amd-guest.ts';

const DOMAIN = 7;
const BOTH = READ | WRITE;
const PRESENT = 0x0010_0000;
const RW = 0x0020_0000;
const PERMISSION = 0x0040_0000;
const RESERVED = 0x0080_0000;
const PAGE_FAULT = 0x2000_0000;

/** An address as its low and high words. */
function split(address: number): readonly [number, number] {
  return [address % 2 ** 32, Math.floor(address / 2 ** 32)];
}

/**
 * A unit with page tables of so many levels, in which one page leads from `address` to `target`. `tables` are from the
 * highest level down.
 */
function walkTo(levels: number, address: number, more: { readonly permissions?: number; readonly unit?: object } = {}) {
  const bare = new BareUnit(more.unit);
  const target = bare.page();
  const tables = Array.from({ length: levels }, () => bare.page());
  bare.device(tables[0]! | 3 | (levels << 9), BOTH, DOMAIN);
  tables.forEach((table, i) => {
    const level = levels - i;
    const index = Math.floor(address / 2 ** (12 + 9 * (level - 1))) % 512;
    if (level === 1) bare.entry(table, index, target | 1, more.permissions ?? BOTH);
    else bare.entry(table, index, tables[i + 1]! | 1 | ((level - 1) << 9), BOTH);
  });
  return { bare, target, tables };
}

describe('the page tables of a simulated AMD IOMMU', () => {
  it.each([
    [1, 0x1f_f000],
    [2, 0x3fe0_1000],
    [3, 0x7f_8020_1000],
    [4, 0x8080_8020_1000],
    [5, 0x0101_0080_4000_1000],
    [6, 0x0402_0100_8040_1000],
  ])('have %i levels', (levels, address) => {
    const { bare, target } = walkTo(levels, address);
    const [low, high] = split(address);
    bare.memory.u8[target + 5] = 77;
    const read = new Uint8Array(1);
    expect([bare.space.read(low + 5, high, read, 0, 1), read[0]]).toEqual([true, 77]);
    expect(bare.reads(low ^ PAGE, high)).toBe(false);
    expect(bare.faults.entries.map(({ cause }) => cause)).toEqual(['unmapped']);
  });

  it('refuse an address that their levels do not translate', () => {
    const { bare } = walkTo(2, 0x3fe0_1000);
    expect(bare.reads(0x7fe0_1000)).toBe(false);
    expect(bare.reads(0x3fe0_1000, 1)).toBe(false);
    expect(bare.faults.entries.map(({ cause }) => cause)).toEqual(['unmapped', 'outside-window']);
    expect(bare.events()).toEqual([
      [0x20, PAGE_FAULT | DOMAIN, 0x7fe0_1000, 0],
      [0x20, PAGE_FAULT | DOMAIN, 0x3fe0_1000, 1],
    ]);
  });

  it.each([
    [READ, 'write', 'write-not-permitted', RW],
    [WRITE, 'read', 'read-not-permitted', 0],
  ] as const)('permit what each entry permits: 0x%x, %s', (permissions, access, cause, flag) => {
    const { bare } = walkTo(3, 0x5000, { permissions });
    expect([bare.reads(0x5000), bare.writes(0x5000)]).toEqual(access === 'write' ? [true, false] : [false, true]);
    expect(bare.faults.entries).toMatchObject([{ access, cause, address: 0x5000n }]);
    expect(bare.events()).toEqual([[0x20, (PAGE_FAULT | PRESENT | PERMISSION | flag | DOMAIN) >>> 0, 0x5000, 0]]);
  });

  it('permit no more than the directories and the entry of the device', () => {
    const { bare, tables } = walkTo(3, 0);
    bare.entry(tables[1]!, 0, tables[2]! | 1 | (1 << 9), READ);
    expect([bare.reads(0), bare.writes(0)]).toEqual([true, false]);
    bare.device(tables[0]! | 3 | (3 << 9), WRITE, DOMAIN);
    bare.drop();
    expect([bare.reads(0), bare.writes(0)]).toEqual([false, false]);
  });

  it('have pages of 2 MiB and 1 GiB, and pages whose address says their size', () => {
    const { bare, tables } = walkTo(3, 0);
    bare.entry(tables[1]!, 1, (4 * MIB) | 1, BOTH);
    bare.memory.u8[4 * MIB + 0x1_2345] = 9;
    const read = new Uint8Array(1);
    expect([bare.space.read(2 * MIB + 0x1_2345, 0, read, 0, 1), read[0]]).toEqual([true, 9]);
    // Bits 12 to 14 are 1 and bit 15 is 0: 16 pages of 4 KiB, by the entry of a table of level 1.
    bare.entry(tables[2]!, 16, (4 * MIB) | 0x7000 | 1 | (7 << 9), BOTH);
    bare.entry(tables[2]!, 18, (4 * MIB) | 0x7000 | 1 | (7 << 9), BOTH);
    bare.memory.u8[4 * MIB + 2 * PAGE] = 8;
    expect([bare.space.read(18 * PAGE, 0, read, 0, 1), read[0]]).toEqual([true, 8]);
    bare.entry(tables[0]!, 1, 1, BOTH);
    bare.memory.u8[3] = 6;
    expect([bare.space.read(2 ** 30 + 3, 0, read, 0, 1), read[0]]).toEqual([true, 6]);
  });

  it('may skip levels, and then the address has zeros there', () => {
    const { bare, tables, target } = walkTo(4, 0);
    bare.entry(tables[0]!, 0, tables[3]! | 1 | (1 << 9), BOTH);
    bare.memory.u8[target] = 5;
    const read = new Uint8Array(1);
    expect([bare.space.read(0, 0, read, 0, 1), read[0]]).toEqual([true, 5]);
    expect(bare.reads(2 * MIB)).toBe(false);
    expect(bare.faults.entries).toMatchObject([{ cause: 'iommu-error' }]);
  });

  it.each([
    ['a level that is not lower', 1 | (2 << 9), BOTH, PRESENT],
    ['reserved bits', 1 | (1 << 9), BOTH | 0x10_0000, PRESENT | RESERVED],
    ['a page that is not aligned to its size', 1 | 0x1000, BOTH, PRESENT],
  ])('refuse an entry with %s', (_what, low, high, flags) => {
    const { bare, tables } = walkTo(3, 0);
    bare.entry(tables[1]!, 0, (low & 0xfff) === 1 ? low : tables[2]! | low, high);
    expect(bare.reads(0)).toBe(false);
    expect(bare.events()).toEqual([[0x20, PAGE_FAULT | flags | DOMAIN, 0, 0]]);
    expect(bare.faults.entries[0]!.cause).toBe('iommu-error');
  });

  it('ignore all bits of an entry that is not present', () => {
    const { bare, tables } = walkTo(3, 0);
    bare.entry(tables[2]!, 3, 0xffff_fffe, 0xffff_ffff);
    expect(bare.reads(3 * PAGE)).toBe(false);
    expect(bare.events()).toEqual([[0x20, PAGE_FAULT | DOMAIN, 3 * PAGE, 0]]);
  });

  it('that are not in memory are a hardware error at the entry', () => {
    const { bare, tables } = walkTo(3, 0);
    bare.entry(tables[1]!, 0, 0x4000_0001 | (1 << 9), BOTH);
    expect(bare.writes(PAGE)).toBe(false);
    expect(bare.events()).toEqual([[0x20, 0x4000_0000 | RW | DOMAIN, 0x4000_0008, 0]]);
  });
});

describe('the device table of a simulated AMD IOMMU', () => {
  it('lets a device without a valid entry through, and one of mode 0 as far as the entry permits', () => {
    const bare = new BareUnit();
    expect([bare.reads(0x5000), bare.writes(0x5000)]).toEqual([true, true]);
    bare.device(3, READ, DOMAIN);
    bare.drop();
    expect([bare.reads(0x5000), bare.writes(0x5000), bare.reads(0, 5)]).toEqual([true, false, false]);
  });

  it('refuses a device whose translation is not valid, one of too many levels, and one behind its end', () => {
    const bare = new BareUnit({ levels: 4 });
    bare.device(1, BOTH, DOMAIN);
    expect(bare.reads(0)).toBe(false);
    bare.device(3 | (5 << 9), BOTH, DOMAIN);
    bare.drop();
    expect(bare.reads(0)).toBe(false);
    bare.unit.write64(0, PAGE, 0);
    const far = { ...bare.unit.state, sourceId: 0x80 };
    const space = openAddressSpace(bare.memory, new FaultLog(), far);
    bare.drop();
    expect(space.read(0, 0, new Uint8Array(1), 0, 1)).toBe(false);
    expect(bare.events().map(([device, flags]) => [device, flags])).toEqual([
      [0x20, PAGE_FAULT | DOMAIN],
      [0x20, PAGE_FAULT | PRESENT | DOMAIN],
      [0x80, PAGE_FAULT],
    ]);
  });

  it.each([0, 1, 2, 3])('refuses reserved bits in word %i', (word) => {
    const bare = new BareUnit();
    const reserved = [0x100, 0x8000_0000, 0x8000_0000, 0x100];
    const words = [3, BOTH, DOMAIN, 0];
    bare.device(...words.map((value, i) => (i === word ? value | reserved[i]! : value)));
    expect(bare.reads(0x4000)).toBe(false);
    expect(bare.events()).toEqual([[0x20, 0x1000_0000 | RESERVED, 0x4000, 0]]);
  });

  it('that is not in memory is a hardware error', () => {
    const bare = new BareUnit();
    bare.unit.write64(0, 0x4000_0001, 0);
    expect(bare.reads(0)).toBe(false);
    expect(bare.events()[0]![1]! >>> 28).toBe(3);
  });
});

describe('what a simulated AMD IOMMU caches', () => {
  it('is a translation until its pages are invalidated', () => {
    const { bare, tables, target } = walkTo(3, 0x5000);
    expect(bare.reads(0x5000)).toBe(true);
    bare.entry(tables[2]!, 5, 0, 0);
    bare.memory.u8[target] = 3;
    expect(bare.reads(0x5000)).toBe(true);
    const invalidate = 3 << 28;
    bare.command([0, invalidate | 8, 0x5000, 0]);
    bare.command([0, invalidate | DOMAIN, 0x6000, 0]);
    expect(bare.reads(0x5000)).toBe(true);
    bare.command([0, invalidate | DOMAIN, 0x5000, 0]);
    expect(bare.reads(0x5000)).toBe(false);
  });

  it.each([
    ['a block that holds the page', [0x4000, 0, 1], false],
    ['a block of four that holds the page', [0x5000, 0, 1], false],
    ['a block that does not', [0x6000, 0, 1], true],
    ['every page', [0xffff_f000, 0x7fff_ffff, 1], false],
  ] as const)('is dropped by the size in the address: %s', (_what, [low, high, sized], isCached) => {
    const { bare, tables } = walkTo(3, 0x5000);
    bare.reads(0x5000);
    bare.entry(tables[2]!, 5, 0, 0);
    bare.command([0, (3 << 28) | DOMAIN, low | sized, high]);
    expect(bare.reads(0x5000)).toBe(isCached);
  });

  it('is the entry of the device until that is invalidated', () => {
    const { bare } = walkTo(3, 0x5000);
    bare.reads(0x5000);
    bare.device(3, BOTH, DOMAIN);
    expect(bare.reads(0x9000)).toBe(false);
    bare.command([0x21, 2 << 28, 0, 0]);
    expect(bare.reads(0x9000)).toBe(false);
    bare.command([0x20, 2 << 28, 0, 0]);
    expect(bare.reads(0x9000)).toBe(true);
  });

  it.each([true, false])('is that nothing is mapped, where it says so: %s', (cachesAbsence) => {
    const { bare, tables, target } = walkTo(3, 0x5000, { unit: { cachesAbsence } });
    expect(bare.reads(0x6000)).toBe(false);
    bare.entry(tables[2]!, 6, target | 1, BOTH);
    expect(bare.reads(0x6000)).toBe(!cachesAbsence);
  });
});

describe('addresses of interrupts', () => {
  it('are not translated: a write is no access to memory, and a read is no request of a device', () => {
    const bare = new BareUnit();
    expect([bare.writes(0xfee0_0000), bare.reads(0xfee0_0010)]).toEqual([false, false]);
    expect(bare.events()).toEqual([[0x20, 0x8000_0000, 0xfee0_0010, 0]]);
    expect(bare.faults.entries.map(({ cause }) => cause)).toEqual(['outside-window', 'outside-window']);
  });
});
