import { describeAddressSpace } from '@virtio-platform/conformance';
import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema, SimulatedVtd } from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/vtd-translation.ts';
import { MIB, PAGE } from '../remapped-guest.ts';
const [ROOT, CONTEXT, L3, L2, L1] = [0x1_0000, 0x1_1000, 0x1_2000, 0x1_3000, 0x1_4000] as const;
/** Where the device and its one function are in the context table. */
const ENTRY = CONTEXT + 0x20 * 16;
const IOVA = 0x4000_0000;
const DATA = 0x8_0000;
const DOMAIN = 7;

/**
 * Tables written by hand, as reference 7.2 has them: page i of 8 from {@link IOVA} on leads to page i from {@link DATA}
 * on.
 */
function openBench(unitOptions: object = {}) {
  const memory = new GuestMemory(new SharedArrayBuffer(MIB));
  const unit = new SimulatedVtd(intelIommuOptionsSchema.parse({ unit: unitOptions }).unit);
  const faults = new FaultLog();
  /** Writes a little-endian word of 64 bits. */
  const put = (address: number, value: bigint | number): void => memory.view.setBigUint64(address, BigInt(value), true);
  put(ROOT, CONTEXT | 1);
  put(ENTRY, L3 | 1);
  put(ENTRY + 8, (DOMAIN << 8) | 1);
  put(L3 + 8, L2 | 3);
  put(L2, L1 | 3);
  for (let page = 0; page < 8; page++) put(L1 + 8 * page, (DATA + page * PAGE) | 3);
  unit.write64(0x20, ROOT, 0);
  unit.write32(0x18, 2 ** 30);
  unit.write32(0x18, 2 ** 31);
  return { memory, unit, faults, put, space: openAddressSpace(memory, faults, structuredClone(unit.state)) };
}

type Bench = ReturnType<typeof openBench>;

const reads = ({ space }: Bench, address: number, high = 0): number => space.borrow(address, high, 1, 'read');
const writes = ({ space }: Bench, address: number): number => space.borrow(address, 0, 1, 'write');
const causeOf = ({ faults }: Bench): string => faults.entries.at(-1)!.cause;

/** The reason in the fault register, which is cleared. */
function reason({ unit }: Bench): number {
  const last = unit.read32(0x22c);
  unit.write32(0x22c, 2 ** 31);
  return last & 0xff;
}

/** Gives a command, and how much the unit says it did. */
function invalidate({ unit }: Bench, high: number, address = 0): number {
  unit.write64(0xf0, address, 0);
  unit.write64(0xf8, 0, high >>> 0);
  const answer = unit.read32(0xfc);
  expect(answer >>> 31).toBe(0);
  return (answer >>> 25) & 3;
}

/** Drops everything: contexts and translations. */
function dropAll({ unit }: Bench): void {
  unit.write64(0x28, 0, 0xa000_0000);
  unit.write64(0xf8, 0, 0x9000_0000);
}

describe('a device behind a simulated unit', () => {
  it('reaches physical memory until translation is enabled, and after it is disabled', () => {
    const bench = openBench();
    expect(reads(bench, IOVA + 5)).toBe(DATA + 5);
    expect(reads(bench, DATA)).toBe(-1);
    const { generation } = bench.space;
    bench.unit.write32(0x18, 0);
    expect(reads(bench, DATA)).toBe(DATA);
    expect(bench.space.generation).not.toBe(generation);
    expect([reads(bench, MIB), causeOf(bench)]).toEqual([-1, 'outside-memory']);
  });

  it.each([
    ['a root entry that is not present', ROOT, 0, 1, 'unmapped'],
    ['a context entry that is not present', ENTRY, 0, 2, 'unmapped'],
    ['a type that the unit does not have', ENTRY, L3 | 1 | (1 << 2), 3, 'unmapped'],
    ['a width that the unit does not have', ENTRY + 8, (DOMAIN << 8) | 3, 3, 'unmapped'],
    ['a context table that is not in memory', ROOT, 0xf000_0001, 9, 'iommu-error'],
    ['page tables that are not in memory', ENTRY, 0xf000_0001, 7, 'iommu-error'],
    ['a table of the lowest level that is not in memory', L2, 0xf000_0003, 7, 'iommu-error'],
    ['reserved bits in a root entry', ROOT, CONTEXT | 0x101, 0xa, 'iommu-error'],
    ['reserved bits in a root entry', ROOT + 8, 1, 0xa, 'iommu-error'],
    ['reserved bits in a context entry', ENTRY, L3 | 0x101, 0xb, 'iommu-error'],
    ['reserved bits in a page-table entry', L1, DATA | 0x803, 0xc, 'iommu-error'],
    ['an address that the unit does not have', L1, (1n << 50n) | 3n, 0xc, 'iommu-error'],
    ['a page of 1 GiB', L3 + 8, 0x83, 0xc, 'iommu-error'],
    ['a page of 2 MiB at no multiple of it', L2, DATA | 0x83, 0xc, 'iommu-error'],
    ['a table that is not present', L3 + 8, 0, 6, 'unmapped'],
    ['a page that is not present', L1, 0, 6, 'unmapped'],
    ['a page that cannot be read', L1, DATA | 2, 6, 'read-not-permitted'],
    ['a table through which nothing can be read', L2, L1 | 2, 6, 'read-not-permitted'],
  ])('faults at %s', (_name, address, value, expected, cause) => {
    const bench = openBench();
    bench.put(address, value);
    expect(reads(bench, IOVA)).toBe(-1);
    expect([reason(bench), causeOf(bench)]).toEqual([expected, cause]);
    expect(bench.faults.count).toBe(1);
  });

  it('faults at a root table that is not in memory', () => {
    const bench = openBench();
    bench.unit.write64(0x20, 0xf000_0000, 0);
    // Only with the command.
    expect(reads(bench, IOVA)).toBe(DATA);
    bench.unit.write32(0x18, 0xc000_0000);
    dropAll(bench);
    expect([reads(bench, IOVA), reason(bench)]).toEqual([-1, 8]);
  });

  it('faults at an address that is wider than its tables', () => {
    const bench = openBench();
    expect([reads(bench, 0, 0x80), reason(bench), causeOf(bench)]).toEqual([-1, 4, 'outside-window']);
    expect([reads(bench, 0, 0x7f), reason(bench), causeOf(bench)]).toEqual([-1, 6, 'unmapped']);
  });

  it('faults at a write without permission', () => {
    const bench = openBench();
    bench.put(L1, DATA | 1);
    expect([writes(bench, IOVA), reason(bench), causeOf(bench)]).toEqual([-1, 5, 'write-not-permitted']);
    expect(reads(bench, IOVA)).toBe(DATA);
  });

  it('translates through a page of 2 MiB', () => {
    const bench = openBench();
    bench.put(L2, 0x83);
    expect(reads(bench, IOVA + 0x4_2345)).toBe(0x4_2345);
  });

  it.each(['translation off', 'pass-through'])('takes the addresses of interrupts for no memory: %s', (mode) => {
    // Only the pages that are touched take memory of this computer.
    const memory = new GuestMemory(new SharedArrayBuffer(0xff00_0000));
    const unit = new SimulatedVtd(intelIommuOptionsSchema.parse({}).unit);
    if (mode === 'pass-through') {
      memory.view.setUint32(ROOT, CONTEXT | 1, true);
      memory.view.setUint32(ENTRY, 9, true);
      memory.view.setUint32(ENTRY + 8, (DOMAIN << 8) | 1, true);
      unit.write64(0x20, ROOT, 0);
      unit.write32(0x18, 2 ** 30);
      unit.write32(0x18, 2 ** 31);
    }
    const faults = new FaultLog();
    const space = openAddressSpace(memory, faults, unit.state);
    const bytes = new Uint8Array(16).fill(0xee);
    expect(space.write(0xfedf_fff8, 0, bytes, 0, 16)).toBe(false);
    expect(faults.entries).toMatchObject([{ address: 0xfee0_0000n, length: 8, cause: 'outside-window' }]);
    expect([memory.u8[0xfedf_ffff], memory.u8[0xfee0_0000]]).toEqual([0xee, 0]);
    for (const low of [0xfee0_0000, 0xfeef_fffc]) {
      expect(space.write(low, 0, bytes, 0, 4)).toBe(false);
      expect(space.read(low, 0, new Uint8Array(4), 0, 4)).toBe(false);
      expect(space.borrow(low, 0, 4, 'read')).toBe(-1);
    }
    expect(space.borrow(0xfedf_fff8, 0, 16, 'write')).toBe(-1);
    expect(space.write(0xfef0_0000, 0, bytes, 0, 16)).toBe(true);
    expect(memory.u8[0xfef0_0000]).toBe(0xee);
  });

  it('passes addresses through by a pass-through entry', () => {
    const bench = openBench();
    bench.put(ENTRY, 1 | (2 << 2));
    expect([reads(bench, DATA), reads(bench, IOVA)]).toEqual([DATA, -1]);
    expect(causeOf(bench)).toBe('outside-memory');
  });

  it('finds no memory at the addresses of interrupts, even if it is mapped', () => {
    const bench = openBench();
    bench.put(L3 + 24, L2 | 3);
    bench.put(L2 + 8 * 0x1f7, 0x83);
    expect([reads(bench, 0xfee0_0000), causeOf(bench)]).toEqual([-1, 'outside-window']);
    expect(bench.unit.read32(0x34)).toBe(0);
  });
});

describe('the translation cache of a simulated unit', () => {
  const PAGES = [0, 1, 2, 3].map((page) => IOVA + page * PAGE);

  /** A device has used four pages, and then they are gone from the tables. */
  function openCached(): Bench {
    const bench = openBench();
    for (const page of PAGES) expect(writes(bench, page)).toBeGreaterThan(0);
    for (let page = 0; page < 8; page++) bench.put(L1 + 8 * page, 0);
    return bench;
  }

  const cached = (bench: Bench): boolean[] => PAGES.map((page) => writes(bench, page) >= 0);

  it('uses a cached translation until it is invalidated', () => {
    const bench = openCached();
    const { generation } = bench.space;
    expect([cached(bench), bench.space.generation]).toEqual([[true, true, true, true], generation]);
    expect(bench.faults.count).toBe(0);
    expect(writes(bench, IOVA + 4 * PAGE)).toBe(-1);
  });

  it.each([
    ['one page', IOVA + PAGE, [true, false, true, true]],
    ['two pages', (IOVA + 2 * PAGE) | 1, [true, true, false, false]],
    ['the block around a page', (IOVA + 3 * PAGE) | 2, [false, false, false, false]],
    ['more pages than it has places', IOVA | 18, [false, false, false, false]],
    ['another page', IOVA + 1024 * PAGE, [true, true, true, true]],
  ])('drops %s', (_name, address, expected) => {
    const bench = openCached();
    const { generation } = bench.space;
    expect(invalidate(bench, 0xb000_0000 | DOMAIN, address)).toBe(3);
    expect(bench.space.generation).not.toBe(generation);
    expect(cached(bench)).toEqual(expected);
  });

  it('drops a domain, or everything', () => {
    const [domain, all] = [openCached(), openCached()];
    expect([invalidate(domain, 0xa000_0000 | DOMAIN), invalidate(all, 0x9000_0000)]).toEqual([2, 1]);
    for (const bench of [domain, all]) expect(cached(bench)).toEqual([false, false, false, false]);
  });

  it('drops nothing for another domain, nor when it reports that it did nothing', () => {
    const bench = openCached();
    expect(invalidate(bench, 0xa000_0000 | (DOMAIN + 1))).toBe(2);
    expect(invalidate(bench, 0xb000_0000 | (DOMAIN + 1), IOVA)).toBe(3);
    expect(invalidate(bench, 0xb000_0000 | DOMAIN, IOVA | 19)).toBe(0);
    expect(invalidate(bench, 0x8000_0000)).toBe(0);
    expect(cached(bench)).toEqual([true, true, true, true]);
  });

  it('ignores commands while it is frozen, and executes them afterwards', () => {
    const bench = openCached();
    bench.space.freeze?.(true);
    expect(invalidate(bench, 0x9000_0000)).toBe(0);
    bench.unit.write64(0x28, 0, 0xa000_0000);
    expect(bench.unit.read32(0x2c)).toBe(0);
    bench.unit.write32(0x18, 0);
    expect(bench.unit.read32(0x1c)).toBe(0xc000_0000);
    expect(cached(bench)).toEqual([true, true, true, true]);
    bench.space.freeze?.(false);
    expect(invalidate(bench, 0x9000_0000)).toBe(1);
    expect(cached(bench)).toEqual([false, false, false, false]);
  });

  it('uses a cached context entry until it is invalidated by domain, by device or globally', () => {
    const wordsThatDrop: readonly (readonly [number, number])[] = [
      [0, 0xa000_0000],
      [DOMAIN, 0xc000_0000],
      [DOMAIN | (0x20 << 16), 0xe000_0000],
    ];
    for (const [low, high] of wordsThatDrop) {
      const bench = openBench();
      expect(reads(bench, IOVA)).toBe(DATA);
      bench.put(ENTRY, 0);
      expect(reads(bench, IOVA + PAGE)).toBe(DATA + PAGE);
      bench.unit.write64(0x28, (DOMAIN + 1) | (0x20 << 16), high === 0xa000_0000 ? 0 : high);
      expect(reads(bench, IOVA)).toBe(DATA);
      bench.unit.write64(0x28, low, high);
      expect([reads(bench, IOVA), reason(bench)]).toEqual([-1, 2]);
    }
  });

  it('caches entries that are not present only in caching mode', () => {
    for (const cachingMode of [false, true]) {
      const bench = openBench({ cachingMode });
      bench.put(L1, 0);
      expect(reads(bench, IOVA)).toBe(-1);
      bench.put(L1, DATA | 3);
      expect(reads(bench, IOVA)).toBe(cachingMode ? -1 : DATA);
      expect(causeOf(bench)).toBe('unmapped');
      invalidate(bench, 0xb000_0000 | DOMAIN, IOVA);
      expect(reads(bench, IOVA)).toBe(DATA);
    }
  });

  it('does not cache an entry that was read before a concurrent invalidation', () => {
    const bench = openBench();
    const { memory, unit, faults } = bench;
    // Another thread invalidates while the tables are walked.
    let isRacing = false;
    const raced = Object.create(memory, {
      size: { get: () => (isRacing && invalidate(bench, 0x9000_0000), memory.size) },
      u32: { value: memory.u32 },
      contains: { value: memory.contains.bind(memory) },
    }) as GuestMemory;
    const space = openAddressSpace(raced, faults, unit.state);
    for (const races of [true, false]) {
      isRacing = races;
      const page = IOVA + (races ? 0 : PAGE);
      expect(space.borrow(page, 0, 1, 'read')).toBeGreaterThan(0);
      isRacing = false;
      bench.put(L1 + (races ? 0 : 8), 0);
      expect(space.borrow(page, 0, 1, 'read') < 0).toBe(races);
    }
  });

  it('replaces a page by another one of the same place', () => {
    const bench = openBench();
    bench.put(L2 + 16, L1 | 3);
    const other = IOVA + 1024 * PAGE;
    expect([writes(bench, IOVA), writes(bench, other)]).toEqual([DATA, DATA]);
    bench.put(L1, 0);
    expect([writes(bench, other), writes(bench, IOVA)]).toEqual([DATA, -1]);
  });
});

describe('the fault registers of a simulated unit', () => {
  it('record page, direction, reason and device', () => {
    const bench = openBench();
    const words = new Uint32Array(2);
    reads(bench, IOVA + 9 * PAGE + 0x123);
    bench.unit.read64(0x220, words);
    expect([...words]).toEqual([IOVA + 9 * PAGE, 0]);
    bench.unit.read64(0x228, words);
    expect([...words]).toEqual([0x20, 0xc000_0006]);
    expect(bench.unit.read32(0x34)).toBe(2);
    bench.unit.write32(0x22c, 2 ** 31);
    expect([bench.unit.read32(0x34), bench.unit.read32(0x22c) >>> 31]).toEqual([0, 0]);
    bench.space.borrow(0, 0x1234, 1, 'write');
    bench.unit.read64(0x220, words);
    expect([...words]).toEqual([0, 0x1234]);
    expect(bench.unit.read32(0x22c)).toBe(0x8000_0004);
  });

  it('drop faults while they are full, set the overflow bit, and continue once it is cleared', () => {
    const bench = openBench({ faultRecords: 2 });
    const words = new Uint32Array(2);
    for (let page = 8; page < 11; page++) reads(bench, IOVA + page * PAGE);
    expect(bench.unit.read32(0x34)).toBe(3);
    bench.unit.write32(0x22c, 2 ** 31);
    // The second is the first that is pending now.
    expect(bench.unit.read32(0x34)).toBe(0x103);
    reads(bench, IOVA + 11 * PAGE);
    expect(bench.unit.read32(0x22c) >>> 31).toBe(0);
    bench.unit.write32(0x34, 1);
    expect(bench.unit.read32(0x34)).toBe(0x102);
    reads(bench, IOVA + 12 * PAGE);
    bench.unit.read64(0x220, words);
    expect(words[0]).toBe(IOVA + 12 * PAGE);
    expect(bench.faults.count).toBe(5);
  });

  it('change only by clearing', () => {
    const bench = openBench();
    reads(bench, IOVA + 9 * PAGE);
    for (const offset of [0x8, 0x10, 0x1c, 0x220, 0x224, 0x228, 0x22c, 0x230, 0xffc, 0x1000, -4]) {
      const before = bench.unit.read32(offset);
      bench.unit.write32(offset, 0x7fff_ffff);
      expect([offset, bench.unit.read32(offset)]).toEqual([offset, before]);
    }
  });
});

describe('openAddressSpace', () => {
  it.each([undefined, null, 5, {}, { sourceId: 5 }, { ...openBench().unit.state, registers: new ArrayBuffer(8) }])(
    'refuses a foreign state: %j',
    (state) => {
      const memory = new GuestMemory(new SharedArrayBuffer(PAGE));
      expect(() => openAddressSpace(memory, new FaultLog(), state)).toThrow(TypeError);
    },
  );
});

describeAddressSpace('a simulated unit that passes addresses through', {
  setup() {
    const { space, put } = openBench();
    put(L1 + 8 * 6, (DATA + 6 * PAGE) | 1);
    put(L1 + 8 * 7, 0);
    return {
      space,
      reachable: { address: BigInt(IOVA), length: 6 * PAGE, memory: DATA },
      refused: [
        { address: BigInt(IOVA + 6 * PAGE), length: 64, access: 'write' },
        { address: BigInt(IOVA + 7 * PAGE), length: 64, access: 'read' },
        { address: 1n << 45n, length: 64, access: 'write' },
        { address: 0xfee0_0000n, length: 4, access: 'write' },
      ],
      dispose: () => {},
    };
  },
});
