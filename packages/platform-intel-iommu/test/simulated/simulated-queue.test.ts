import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema, SimulatedVtd } from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/vtd-translation.ts';
import { MIB, PAGE } from '../remapped-guest.ts';

const [ROOT, CONTEXT, L3, L2, L1, QUEUE, STATUS] = [
  0x1_0000, 0x1_1000, 0x1_2000, 0x1_3000, 0x1_4000, 0x2_0000, 0x3_0000,
] as const;
const [IOVA, DATA, DOMAIN] = [0x4000_0000, 0x8_0000, 7] as const;
const [IQH, IQT, IQA, ICS, FSTS, GCMD, GSTS] = [0x80, 0x88, 0x90, 0x9c, 0x34, 0x18, 0x1c] as const;
const TRANSLATES = 0xc400_0000;
type Words = readonly number[];

/** Four pages that the device has used, and that are gone from tables written by hand; and a queue of one page. */
function openBench(unitOptions: object = {}, address: number = QUEUE, descriptorBytes = 16) {
  const memory = new GuestMemory(new SharedArrayBuffer(MIB));
  const unit = new SimulatedVtd({ ...intelIommuOptionsSchema.parse({ unit: unitOptions }).unit, memory });
  const put = (at: number, value: number): void => memory.view.setBigUint64(at, BigInt(value), true);
  put(ROOT, CONTEXT | 1);
  put(CONTEXT + 0x20 * 16, L3 | 1);
  put(CONTEXT + 0x20 * 16 + 8, (DOMAIN << 8) | 1);
  put(L3 + 8, L2 | 3);
  put(L2, L1 | 3);
  for (let page = 0; page < 4; page++) put(L1 + 8 * page, (DATA + page * PAGE) | 3);
  unit.write64(IQA, address, 0);
  unit.write32(GCMD, 0x0400_0000);
  unit.write64(0x20, ROOT, 0);
  unit.write32(GCMD, 0x4400_0000);
  unit.write32(GCMD, 0x8400_0000);
  const space = openAddressSpace(memory, new FaultLog(), structuredClone(unit.state));
  const reaches = (): boolean[] => [0, 1, 2, 3].map((page) => space.borrow(IOVA + page * PAGE, 0, 1, 'read') >= 0);
  expect(reaches()).toEqual([true, true, true, true]);
  memory.u8.fill(0, L1, L1 + PAGE);
  let tail = 0;
  /** Writes descriptors and shows the unit the tail. */
  const submit = (...descriptors: Words[]): void => {
    for (const words of descriptors) {
      memory.u32.set(words, (QUEUE + tail) / 4);
      tail = (tail + descriptorBytes) % PAGE;
    }
    unit.write64(IQT, tail, 0);
  };
  return { memory, unit, space, submit, reaches };
}

/** The head, the errors, and the status word. */
const state = ({ unit, memory }: ReturnType<typeof openBench>): number[] => [
  unit.read32(IQH),
  unit.read32(FSTS) & 0x70,
  memory.u32[STATUS / 4]!,
];
const WAIT: Words = [0x25, 0x99, STATUS, 0];
const waits = (count: number): Words[] => Array.from({ length: count }, () => WAIT);

describe('the queue of a simulated unit', () => {
  it.each<[string, Words, boolean[]]>([
    ['all translations', [0x12, 0, 0, 0], [false, false, false, false]],
    ['those of the domain', [0x22 | (DOMAIN << 16), 0, 0, 0], [false, false, false, false]],
    ['those of another domain', [0x22 | (8 << 16), 0, 0, 0], [true, true, true, true]],
    ['a page', [0x32 | (DOMAIN << 16), 0, IOVA + PAGE, 0], [true, false, true, true]],
    [
      'a page, of whose tables only the last changed',
      [0x32 | (DOMAIN << 16), 0, IOVA | 0x40, 0],
      [false, true, true, true],
    ],
    ['two pages, around the second', [0x32 | (DOMAIN << 16), 0, (IOVA + 3 * PAGE) | 1, 0], [true, true, false, false]],
    ['a page elsewhere', [0x32 | (DOMAIN << 16), 0, IOVA, 1], [true, true, true, true]],
    ['a page of another domain', [0x32 | (8 << 16), 0, IOVA, 0], [true, true, true, true]],
    ['all contexts, and no translation', [0x11, 0, 0, 0], [true, true, true, true]],
    ['with reads and writes drained', [0xd2, 0, 0, 0], [false, false, false, false]],
  ])('drops %s', (_name, descriptor, expected) => {
    const bench = openBench();
    const { generation } = bench.space;
    bench.submit(descriptor, WAIT);
    expect([bench.reaches(), state(bench)]).toEqual([expected, [0x20, 0, 0x99]]);
    expect(bench.space.generation).not.toBe(generation);
  });

  it.each<[string, Words, boolean]>([
    ['of everything', [0x11, 0, 0, 0], true],
    ['of the domain', [0x21 | (DOMAIN << 16), 0, 0, 0], true],
    ['of another domain', [0x21 | (8 << 16), 0, 0, 0], false],
    ['of the device', [0x31 | (DOMAIN << 16), 0x20, 0, 0], true],
    ['of another device', [0x31 | (DOMAIN << 16), 0x28, 0, 0], false],
  ])('drops the context %s', (_name, descriptor, isDropped) => {
    const bench = openBench();
    bench.memory.u8.fill(0, CONTEXT, CONTEXT + PAGE);
    bench.submit(descriptor, WAIT);
    expect(bench.reaches()[0]).toBe(!isDropped);
    expect(state(bench)).toEqual([0x20, 0, 0x99]);
  });

  it.each<[string, Words]>([
    ['type 0', [0, 0, 0, 0]],
    ['type 3, since no device has a cache', [3, 0, 0, 0]],
    ['type 4, since interrupts are not remapped', [4, 0, 0, 0]],
    ['type 6, since there are no PASIDs', [0x36, 0, 0, 0]],
    ['type 7, since there are no PASIDs', [0x37, 0, 0, 0]],
    ['type 0xe', [0xe, 0, 0, 0]],
    ['no granularity of contexts', [0x1, 0, 0, 0]],
    ['no granularity of translations', [0x2, 0, 0, 0]],
    ['more pages than a range has', [0x32, 0, 19, 0]],
    ['reserved bits of a context', [0x51, 0, 0, 0]],
    ['reserved bits of a device', [0x11, 0x4_0000, 0, 0]],
    ['reserved bits of a translation', [0x112, 0, 0, 0]],
    ['reserved bits of an address', [0x32, 0, 0x80, 0]],
    ['a wait that asks for nothing', [0x5, 0, 0, 0]],
    ['reserved bits of a wait', [0xa5, 0, STATUS, 0]],
    ['a status that is not in memory', [0x25, 1, 0xf000_0000, 0]],
    ['a status beyond a word', [0x25, 1, STATUS + 2, 0]],
  ])('stops at %s, until the error is cleared and the tail written', (_name, descriptor) => {
    const bench = openBench();
    bench.submit(WAIT, descriptor, [0x12, 0, 0, 0], [0x25, 0x77, STATUS, 0]);
    expect([state(bench), bench.reaches()]).toEqual([
      [0x10, 0x10, 0x99],
      [true, true, true, true],
    ]);
    bench.unit.write64(IQT, 0x40, 0);
    expect(state(bench)).toEqual([0x10, 0x10, 0x99]);
    bench.memory.u32.set(WAIT, (QUEUE + 0x10) / 4);
    bench.unit.write32(FSTS, 0x10);
    expect(state(bench)).toEqual([0x10, 0, 0x99]);
    bench.unit.write64(IQT, 0x40, 0);
    expect([state(bench), bench.reaches()]).toEqual([
      [0x40, 0, 0x77],
      [false, false, false, false],
    ]);
  });

  it.each([0x1000, 0x18, 0x8])('stops at a tail that is in no descriptor: %i', (tail) => {
    const bench = openBench();
    bench.submit(WAIT);
    bench.unit.write64(IQT, tail, 0);
    expect(state(bench)).toEqual([0x10, 0x10, 0x99]);
  });

  it('stops where the queue is not in memory', () => {
    const bench = openBench({}, 0xf000_0000);
    bench.submit(WAIT);
    expect(state(bench)).toEqual([0, 0x10, 0]);
  });

  it('goes around its end, and has the size that it is given', () => {
    const bench = openBench({}, QUEUE | 1);
    for (let i = 0; i < 16; i++) bench.submit(...waits(i === 15 ? 15 : 16));
    expect(state(bench)[0]).toBe(0xff0);
    bench.memory.u32.set([0x25, 0x55, STATUS, 0], (QUEUE + 0xff0) / 4);
    bench.unit.write64(IQT, 0x1000, 0);
    expect(state(bench)).toEqual([0x1000, 0, 0x55]);
    const small = openBench();
    for (let i = 0; i < 3; i++) small.submit(...waits(100));
    expect(state(small)).toEqual([(300 % 256) * 16, 0, 0x99]);
  });

  it('notes that a wait descriptor asks for an interrupt', () => {
    const bench = openBench();
    bench.submit([0x15, 0, 0, 0]);
    expect([state(bench), bench.unit.read32(ICS)]).toEqual([[0x10, 0, 0], 1]);
  });

  it('waits while the unit is frozen', () => {
    const bench = openBench();
    bench.space.freeze?.(true);
    bench.submit([0x12, 0, 0, 0], WAIT);
    expect([state(bench), bench.reaches()]).toEqual([
      [0, 0, 0],
      [true, true, true, true],
    ]);
    bench.space.freeze?.(false);
    bench.unit.write64(IQT, 0x20, 0);
    expect([state(bench), bench.reaches()]).toEqual([
      [0x20, 0, 0x99],
      [false, false, false, false],
    ]);
  });

  it('executes nothing before it is enabled, and is disabled only when it is empty', () => {
    const bench = openBench();
    bench.unit.write32(GCMD, 0x8000_0000);
    expect(bench.unit.read32(GSTS)).toBe(0xc000_0000);
    bench.submit(WAIT);
    expect(state(bench)).toEqual([0, 0, 0]);
    bench.unit.write32(GCMD, 0x8400_0000);
    expect(state(bench)).toEqual([0x10, 0, 0x99]);
    bench.submit([0xe, 0, 0, 0]);
    bench.unit.write32(GCMD, 0x8000_0000);
    expect(bench.unit.read32(GSTS)).toBe(TRANSLATES);
  });

  it('leaves the registers for invalidation without an answer', () => {
    const bench = openBench();
    bench.unit.write64(0xf8, 0, 0x9000_0000);
    bench.unit.write64(0x28, 0, 0xa000_0000);
    expect([bench.unit.read32(0xfc), bench.unit.read32(0x2c)]).toEqual([0x9000_0000, 0xa000_0000]);
    expect(bench.reaches()).toEqual([true, true, true, true]);
  });

  it('keeps its error when a fault is recorded and cleared', () => {
    const bench = openBench();
    bench.submit([0xe, 0, 0, 0]);
    bench.space.borrow(IOVA + 9 * PAGE, 0, 1, 'read');
    expect(bench.unit.read32(FSTS)).toBe(0x12);
    bench.unit.write32(0x22c, 2 ** 31);
    expect(bench.unit.read32(FSTS)).toBe(0x10);
  });

  it('has descriptors of 256 bits where the unit has scalable mode, and no others elsewhere', () => {
    const bench = openBench({ scalableMode: true }, QUEUE | 0x800, 32);
    bench.submit([0x37, 0, 0, 0, 0, 0, 0, 0], [0x12, 0, 0, 0, 0, 0, 0, 0], [...WAIT, 0, 0, 0, 0]);
    expect([state(bench), bench.reaches()]).toEqual([
      [0x60, 0, 0x99],
      [false, false, false, false],
    ]);
    bench.submit([0x12, 0, 0, 0, 0, 0, 0, 1]);
    expect(state(bench)).toEqual([0x60, 0x10, 0x99]);
    const legacy = openBench({}, QUEUE | 0x800);
    legacy.submit(WAIT);
    expect(state(legacy)).toEqual([0x10, 0, 0x99]);
  });
});
