import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema, SimulatedVtd } from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/vtd-translation.ts';
import { MIB, PAGE } from '../remapped-guest.ts';

const [TABLE, QUEUE, STATUS] = [0x4_0000, 0x2_0000, 0x3_0000] as const;
const [GCMD, GSTS, FSTS, IQH, IQT, IQA, IRTA, FRCD] = [0x18, 0x1c, 0x34, 0x80, 0x88, 0x90, 0xb8, 0x220] as const;
const [QIE, IRE, SIRTP, CFI] = [2 ** 26, 2 ** 25, 2 ** 24, 2 ** 23] as const;
/** log2 of 16 entries, less one. */
const SIXTEEN = 3;
/** The requester id of the device: 00:04.0. */
const SOURCE = 0x20;
type Words = readonly number[];

/** Vector 0x41 to the processor with APIC id 1, edge-triggered; for any requester. */
const ENTRY: Words = [0x0041_0001, 0x0100, 0, 0];
/** For the requester alone that the third word names. */
const verified = (third: number): Words => [0x0041_0001, 0x0100, third >>> 0, 0];

interface BenchOptions {
  readonly unit?: object;
  /** Low word of the table's address. */
  readonly table?: number;
  /** Commands besides those of the queue. */
  readonly commands?: number;
}

/** A unit that remaps interrupts by a table of 16 entries, of which those given are present. */
function openBench(entries: Readonly<Record<number, Words>> = {}, options: BenchOptions = {}) {
  const { unit: unitOptions, table = TABLE | SIXTEEN, commands = IRE } = options;
  const memory = new GuestMemory(new SharedArrayBuffer(MIB));
  const { unit: checked } = intelIommuOptionsSchema.parse({ unit: { interruptRemapping: true, ...unitOptions } });
  const unit = new SimulatedVtd({ ...checked, memory });
  const setEntry = (index: number, words: Words): void => memory.u32.set(words, TABLE / 4 + 4 * index);
  for (const [index, words] of Object.entries(entries)) setEntry(Number(index), words);
  unit.write64(IQA, QUEUE, 0);
  unit.write32(GCMD, QIE);
  unit.write64(IRTA, table, 0);
  unit.write32(GCMD, QIE + SIRTP);
  unit.write32(GCMD, QIE + commands);
  const faults = new FaultLog();
  const space = openAddressSpace(memory, faults, structuredClone(unit.state));
  /** Whether the device's write of one word is let through. */
  const sends = (address: number, data = 0): boolean =>
    space.write(address, 0, new Uint8Array(new Uint32Array([data]).buffer), 0, 4);
  const record = new Uint32Array(2);
  /** The record of the last fault: the entry, the requester, and the reason. Clears it. */
  const takeRecord = (): readonly number[] => {
    const last = unit.read32(FRCD + 12);
    if (last < 2 ** 31) return [];
    unit.read64(FRCD, record);
    expect(record[0]).toBe(0);
    const taken = [record[1]! / 2 ** 16, unit.read32(FRCD + 8), last - 2 ** 31];
    unit.write32(FRCD + 12, 2 ** 31);
    return taken;
  };
  let tail = 0;
  const submit = (...descriptors: Words[]): void => {
    for (const words of descriptors) {
      memory.u32.set(words, (QUEUE + tail) / 4);
      tail = (tail + 16) % PAGE;
    }
    unit.write64(IQT, tail, 0);
  };
  return { memory, unit, space, faults, sends, setEntry, takeRecord, submit };
}

describe('a simulated unit that remaps interrupts', () => {
  it('says so, and what is enabled', () => {
    const { unit } = openBench();
    // Queue and interrupt remapping, no destinations of 32 bits, and each mask of an invalidation of entries.
    expect([unit.read32(0x10) & 0xf0_001a, unit.read32(GSTS)]).toEqual([0xf0_000a, 0x0700_0000]);
    unit.write32(GCMD, QIE);
    expect(unit.read32(GSTS)).toBe(0x0500_0000);
    const without = openBench({}, { unit: { interruptRemapping: false } });
    expect([without.unit.read32(0x10) & 0xf0_001a, without.unit.read32(GSTS)]).toEqual([2, 0x0400_0000]);
  });

  it.each<[string, number, number, Words]>([
    ['the entry of its address', 0xfee0_0050, 0, ENTRY],
    ['the entry of address and data', 0xfee0_0018, 2, ENTRY],
    ['no data without a subhandle', 0xfee0_0050, 0xffff_ffff, ENTRY],
    ['an entry of the device', 0xfee0_0050, 0, verified((1 << 18) | SOURCE)],
    ['an entry of functions of the device', 0xfee0_0050, 0, verified((1 << 18) | (3 << 16) | 0x27)],
    ['an entry without a bit of the function', 0xfee0_0050, 0, verified((1 << 18) | (1 << 16) | 0x24)],
    ['an entry of its bus', 0xfee0_0050, 0, verified(2 << 18)],
    ['an entry of its bus and others', 0xfee0_0050, 0, verified((2 << 18) | 0x00ff)],
  ])('lets a device send an interrupt: by %s', (_name, address, data, entry) => {
    const bench = openBench({ 2: entry });
    const before = bench.memory.u8.slice();
    expect([bench.sends(address, data), bench.faults.count, bench.takeRecord()]).toEqual([true, 0, []]);
    // It is no memory.
    expect(bench.memory.u8.every((byte, i) => byte === before[i])).toBe(true);
  });

  it.each<[string, number, number, Words, readonly number[]]>([
    ['in compatibility format', 0xfee0_1000, 0x41, ENTRY, [0, SOURCE, 0x25]],
    ['with reserved bits in its data', 0xfee0_0058, 0x1_0000, ENTRY, [0, SOURCE, 0x20]],
    ['beyond the table', 0xfee0_0210, 0, ENTRY, [16, SOURCE, 0x21]],
    ['beyond the table by its subhandle', 0xfee0_0058, 14, ENTRY, [16, SOURCE, 0x21]],
    ['far beyond the table', 0xfeef_fffc, 0, ENTRY, [0xffff, SOURCE, 0x21]],
    ['without an entry', 0xfee0_0030, 0, ENTRY, [1, SOURCE, 0x22]],
    ['with an entry that is not present', 0xfee0_0050, 0, [0x0041_0000, 0x0100, 0, 0], [2, SOURCE, 0x22]],
    ['with reserved bits in the first word', 0xfee0_0050, 0, [0x0141_0001, 0x0100, 0, 0], [2, SOURCE, 0x24]],
    ['with an entry of posted interrupts', 0xfee0_0050, 0, [0x0041_8001, 0x0100, 0, 0], [2, SOURCE, 0x24]],
    ['with a destination of more than 8 bits', 0xfee0_0050, 0, [0x0041_0001, 1, 0, 0], [2, SOURCE, 0x24]],
    ['with reserved bits in the third word', 0xfee0_0050, 0, verified(1 << 20), [2, SOURCE, 0x24]],
    ['with reserved bits in the fourth word', 0xfee0_0050, 0, [...ENTRY.slice(0, 3), 1], [2, SOURCE, 0x24]],
    ['with an entry of another device', 0xfee0_0050, 0, verified((1 << 18) | 0x28), [2, SOURCE, 0x26]],
    ['with an entry of another function', 0xfee0_0050, 0, verified((1 << 18) | 0x21), [2, SOURCE, 0x26]],
    ['with an entry of another bus', 0xfee0_0050, 0, verified((2 << 18) | 0x0103), [2, SOURCE, 0x26]],
    ['with an unknown verification', 0xfee0_0050, 0, verified((3 << 18) | SOURCE), [2, SOURCE, 0x26]],
  ])('blocks an interrupt %s, and records it', (_name, address, data, entry, expected) => {
    const bench = openBench({ 2: entry });
    expect([bench.sends(address, data), bench.takeRecord()]).toEqual([false, expected]);
    expect(bench.faults.entries).toEqual([
      { address: BigInt(address), length: 4, access: 'write', cause: 'interrupt-blocked' },
    ]);
  });

  it('blocks where the table is not in memory', () => {
    const bench = openBench({}, { table: 0xf000_0000 | SIXTEEN });
    expect([bench.sends(0xfee0_0050), bench.takeRecord()]).toEqual([false, [2, SOURCE, 0x23]]);
  });

  it.each<[string, Words]>([
    ['that is not present', [2, 0, 0, 0]],
    ['with reserved bits', [3, 1, 0, 0]],
    ['of another device', [3, 0x0100, (1 << 18) | 0x28, 0]],
  ])('blocks, and records nothing of an entry %s that says not to', (_name, entry) => {
    const bench = openBench({ 2: entry });
    expect([bench.sends(0xfee0_0050), bench.takeRecord(), bench.faults.count]).toEqual([false, [], 1]);
    // What is no fault of an entry is recorded.
    expect([bench.sends(0xfee0_1000), bench.takeRecord()]).toEqual([false, [0, SOURCE, 0x25]]);
  });

  it('lets the compatibility format through where that is enabled', () => {
    const bench = openBench({}, { commands: IRE + CFI });
    expect([bench.unit.read32(GSTS), bench.sends(0xfee0_1000, 0x41)]).toEqual([0x0780_0000, true]);
  });

  it('has no destinations of 32 bits, and takes nothing from the bit that asks for them', () => {
    const table = TABLE | 0x800 | SIXTEEN;
    const bench = openBench({ 1: ENTRY, 2: [0x0041_0001, 0x1_0100, 0, 0] }, { commands: IRE + CFI, table });
    expect([bench.sends(0xfee0_1000, 0x41), bench.sends(0xfee0_0030)]).toEqual([true, true]);
    expect([bench.sends(0xfee0_0050), bench.takeRecord()]).toEqual([false, [2, SOURCE, 0x24]]);
  });

  it.each([
    ['a read', 'read', 0xfee0_0050, 4],
    ['two words', 'write', 0xfee0_0050, 8],
    ['half a word', 'write', 0xfee0_0050, 2],
    ['a word across two', 'write', 0xfee0_0052, 4],
  ] as const)('takes %s for no interrupt, and lets it reach nothing', (_name, access, address, length) => {
    const bench = openBench({ 2: ENTRY }, { commands: IRE });
    bench.unit.write64(0x20, 0, 0);
    bench.unit.write32(GCMD, QIE + IRE + 2 ** 30);
    bench.unit.write32(GCMD, QIE + IRE + 2 ** 31);
    expect(bench.space[access](address, 0, new Uint8Array(length), 0, length)).toBe(false);
    expect([bench.faults.entries.map(({ cause }) => cause), bench.takeRecord()]).toEqual([['outside-window'], []]);
  });

  it('remaps nothing before it is enabled, and nothing of memory or of other addresses', () => {
    const bench = openBench({}, { commands: 0 });
    expect([bench.sends(0xfee0_0050), bench.takeRecord()]).toEqual([false, []]);
    expect(bench.faults.entries).toMatchObject([{ cause: 'outside-window' }]);
    const remapping = openBench();
    expect([remapping.sends(0x8_0000, 0x1234), remapping.memory.u32[0x8_0000 / 4]]).toEqual([true, 0x1234]);
    expect([remapping.sends(0xfedf_fffc), remapping.sends(0xfef0_0000), remapping.takeRecord()]).toEqual([
      false,
      false,
      [],
    ]);
  });
});

describe('the entries that a simulated unit has cached', () => {
  const WAIT: Words = [0x25, 0x99, STATUS, 0];

  it.each<[string, Words, boolean[]]>([
    ['all of them', [0x4, 0, 0, 0], [false, false, false]],
    ['one', [0x14, 2, 0, 0], [true, false, true]],
    ['two, around the second', [0x14 | (1 << 27), 3, 0, 0], [true, false, false]],
    ['the largest block', [0x14 + 15 * 2 ** 27, 0x7fff, 0, 0], [false, false, false]],
    ['another one', [0x14, 7, 0, 0], [true, true, true]],
  ])('stay in use until they are dropped: %s', (_name, descriptor, expected) => {
    const bench = openBench({ 1: ENTRY, 2: ENTRY, 3: ENTRY });
    const reaches = (): boolean[] => [1, 2, 3].map((index) => bench.sends(0xfee0_0010 + index * 32));
    expect(reaches()).toEqual([true, true, true]);
    for (const index of [1, 2, 3]) bench.setEntry(index, [0, 0, 0, 0]);
    expect(reaches()).toEqual([true, true, true]);
    // A new address of the table drops nothing.
    bench.unit.write32(GCMD, QIE + IRE + SIRTP);
    expect(reaches()).toEqual([true, true, true]);
    bench.submit(descriptor, WAIT);
    expect([bench.unit.read32(IQH), bench.unit.read32(FSTS) & 0x70, reaches()]).toEqual([0x20, 0, expected]);
  });

  it('are not those that are not present, nor those with reserved bits', () => {
    const bench = openBench({ 2: [0x0141_0001, 0x0100, 0, 0] });
    expect([bench.sends(0xfee0_0030), bench.sends(0xfee0_0050)]).toEqual([false, false]);
    bench.setEntry(1, ENTRY);
    bench.setEntry(2, ENTRY);
    expect([bench.sends(0xfee0_0030), bench.sends(0xfee0_0050)]).toEqual([true, true]);
  });

  it('make room for others', () => {
    const bench = openBench({}, { table: TABLE | 7 });
    for (const index of [5, 69]) bench.setEntry(index, ENTRY);
    expect([bench.sends(0xfee0_0010 + 5 * 32), bench.sends(0xfee0_0010 + 69 * 32)]).toEqual([true, true]);
    for (const index of [5, 69]) bench.setEntry(index, [0, 0, 0, 0]);
    expect([bench.sends(0xfee0_0010 + 69 * 32), bench.sends(0xfee0_0010 + 5 * 32)]).toEqual([true, false]);
  });

  it.each<[string, Words]>([
    ['reserved bits', [0x24, 0, 0, 0]],
    ['an index of more than 16 bits', [0x14, 0x1_0000, 0, 0]],
    ['a mask that the unit does not have', [0x14 + 16 * 2 ** 27, 0, 0, 0]],
    ['an address', [0x4, 0, 1, 0]],
  ])('are not dropped by a descriptor with %s', (_name, descriptor) => {
    const bench = openBench({ 2: ENTRY });
    expect(bench.sends(0xfee0_0050)).toBe(true);
    bench.setEntry(2, [0, 0, 0, 0]);
    bench.submit(descriptor);
    expect([bench.unit.read32(FSTS) & 0x70, bench.sends(0xfee0_0050)]).toEqual([0x10, true]);
  });
});
