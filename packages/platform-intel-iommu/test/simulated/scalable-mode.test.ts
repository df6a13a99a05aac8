import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema, SimulatedVtd } from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/vtd-translation.ts';
import { MIB, PAGE } from '../remapped-guest.ts';

const [ROOT, CONTEXT, DIRECTORY, PASIDS, L3, L2, L1, QUEUE] = [
  0x1_0000, 0x1_1000, 0x1_2000, 0x1_3000, 0x1_4000, 0x1_5000, 0x1_6000, 0x1_7000,
] as const;
const [IOVA, DATA, DOMAIN] = [0x4000_0000, 0x8_0000, 7] as const;
/** Second-level tables of three levels. */
const SECOND_LEVEL = L3 | 1 | (1 << 2) | (2 << 6);
const NOWHERE = 0x7000_0000;

/** Tables of scalable mode, written by hand, and a queue of descriptors of 256 bits. */
function openBench(sourceId = 0x20, mode = 0x400) {
  const memory = new GuestMemory(new SharedArrayBuffer(MIB));
  const options = intelIommuOptionsSchema.parse({ unit: { scalableMode: true, addressWidth: 57 } });
  const unit = new SimulatedVtd({ ...options.unit, sourceId, memory });
  const put = (at: number, value: bigint | number): void => memory.view.setBigUint64(at, BigInt(value), true);
  const root = ROOT + (sourceId >>> 8) * 16 + ((sourceId & 0xff) >= 128 ? 8 : 0);
  const context = CONTEXT + (sourceId & 0x7f) * 32;
  put(root, CONTEXT | 1);
  put(context, DIRECTORY | 1);
  put(DIRECTORY, PASIDS | 1);
  put(PASIDS, SECOND_LEVEL);
  put(PASIDS + 8, DOMAIN);
  put(L3 + 8, L2 | 3);
  put(L2, L1 | 3);
  for (let page = 0; page < 8; page++) put(L1 + 8 * page, (DATA + page * PAGE) | 3);
  unit.write64(0x90, QUEUE | 0x800, 0);
  unit.write32(0x18, 0x0400_0000);
  unit.write64(0x20, ROOT | mode, 0);
  unit.write32(0x18, 0x4400_0000);
  unit.write32(0x18, 0x8400_0000);
  const faults = new FaultLog();
  const space = openAddressSpace(memory, faults, structuredClone(unit.state));
  let tail = 0;
  const submit = (first: number, second = 0): void => {
    memory.u32.set([first, second, 0, 0, 0, 0, 0, 0], (QUEUE + tail) / 4);
    tail += 32;
    unit.write64(0x88, tail, 0);
    expect(unit.read32(0x80)).toBe(tail);
  };
  const reads = (address: number, high = 0): number => space.borrow(address, high, 1, 'read');
  const reason = (): number => {
    const last = unit.read32(0x22c);
    unit.write32(0x22c, 2 ** 31);
    return last & 0xff;
  };
  const cause = (): string => faults.entries.at(-1)!.cause;
  return { memory, unit, space, faults, put, submit, reads, reason, cause, root, context };
}

describe('a device behind a unit in scalable mode', () => {
  it.each([0x20, 0x80, 0xff, 0x1f20, 0xffff])(
    'is found by its requester id %i, in both halves of a bus',
    (sourceId) => {
      const bench = openBench(sourceId);
      expect([bench.reads(IOVA + 5), bench.reads(IOVA + 3 * PAGE)]).toEqual([DATA + 5, DATA + 3 * PAGE]);
      expect(bench.reads(DATA)).toBe(-1);
      expect(bench.unit.read32(0x228) & 0xffff).toBe(sourceId);
    },
  );

  it('passes addresses through by its PASID entry', () => {
    const bench = openBench();
    bench.put(PASIDS, 1 | (1 << 2) | (4 << 6));
    expect([bench.reads(DATA), bench.reads(IOVA), bench.cause()]).toEqual([DATA, -1, 'outside-memory']);
  });

  it.each<[string, (bench: ReturnType<typeof openBench>) => readonly [number, bigint | number], number, string]>([
    ['a root entry that is not present', ({ root }) => [root, 0], 0x39, 'unmapped'],
    ['reserved bits in a root entry', ({ root }) => [root, CONTEXT | 3], 0x3a, 'iommu-error'],
    ['a context table that is not in memory', ({ root }) => [root, NOWHERE | 1], 0x40, 'iommu-error'],
    ['a context entry that is not present', ({ context }) => [context, 0], 0x41, 'unmapped'],
    ['device caches, which the unit does not have', ({ context }) => [context, DIRECTORY | 5], 0x42, 'iommu-error'],
    ['another PASID than 0 for all requests', ({ context }) => [context + 8, 1], 0x42, 'iommu-error'],
    ['reserved bits in a context entry', ({ context }) => [context + 24, 1n << 40n], 0x42, 'iommu-error'],
    ['a directory that is not in memory', ({ context }) => [context, NOWHERE | 1], 0x50, 'iommu-error'],
    ['an entry of the directory that is not present', () => [DIRECTORY, 0], 0x51, 'unmapped'],
    ['reserved bits in the directory', () => [DIRECTORY, PASIDS | 5], 0x52, 'iommu-error'],
    ['a PASID table that is not in memory', () => [DIRECTORY, NOWHERE | 1], 0x58, 'iommu-error'],
    ['a PASID entry that is not present', () => [PASIDS, 0], 0x59, 'unmapped'],
    ['reserved bits in a PASID entry', () => [PASIDS, SECOND_LEVEL | 0x400], 0x5a, 'iommu-error'],
    ['bits behind the domain', () => [PASIDS + 8, DOMAIN | (1 << 24)], 0x5a, 'iommu-error'],
    ['a first-level pointer', () => [PASIDS + 16, L3 | 1], 0x5a, 'iommu-error'],
    ['first-level translation', () => [PASIDS, L3 | 1 | (1 << 2) | (1 << 6)], 0x5b, 'unmapped'],
    ['nested translation', () => [PASIDS, L3 | 1 | (1 << 2) | (3 << 6)], 0x5b, 'unmapped'],
    ['a width that the unit does not have', () => [PASIDS, L3 | 1 | (2 << 6)], 0x5b, 'unmapped'],
    ['page tables that are not in memory', () => [PASIDS, NOWHERE | 0x85], 0x7b, 'iommu-error'],
    ['a table below that is not in memory', () => [L2, NOWHERE | 3], 0x78, 'iommu-error'],
    ['reserved bits in a page-table entry', () => [L1, DATA | 0x803], 0x7a, 'iommu-error'],
    ['a page that is not present', () => [L1, 0], 0x79, 'unmapped'],
    ['a page that cannot be read', () => [L1, DATA | 2], 0x86, 'read-not-permitted'],
  ])('faults at %s', (_name, change, reason, cause) => {
    const bench = openBench();
    bench.put(...change(bench));
    expect([bench.reads(IOVA), bench.reason(), bench.cause()]).toEqual([-1, reason, cause]);
  });

  it('faults at a write without permission, and beyond its tables', () => {
    const bench = openBench();
    bench.put(L1, DATA | 1);
    expect([bench.space.borrow(IOVA, 0, 1, 'write'), bench.reason(), bench.cause()]).toEqual([
      -1,
      0x85,
      'write-not-permitted',
    ]);
    expect([bench.reads(0, 0x80), bench.reason(), bench.cause()]).toEqual([-1, 0x84, 'outside-window']);
  });

  it.each([0x800, 0xc00])('faults at a root table of mode %i', (mode) => {
    const bench = openBench(0x20, mode);
    expect([bench.reads(IOVA), bench.reason(), bench.cause()]).toEqual([-1, 0x30, 'iommu-error']);
  });

  it('faults at a root table that is not in memory', () => {
    const bench = openBench();
    bench.unit.write64(0x20, NOWHERE | 0x400, 0);
    bench.unit.write32(0x18, 0xc400_0000);
    expect([bench.reads(IOVA), bench.reason()]).toEqual([-1, 0x38]);
  });

  it('walks five levels, and nothing beyond 57 bits', () => {
    const bench = openBench();
    const [L5, L4] = [0x1_8000, 0x1_9000] as const;
    bench.put(PASIDS, L5 | 1 | (3 << 2) | (2 << 6));
    // Address 0x1ab_cdef_4000_0000: index 0x1ab of level 5 down.
    bench.put(L5 + 8 * 0x1ab, L4 | 3);
    bench.put(L4 + 8 * 0x19b, L3 | 3);
    bench.put(L3 + 8 * 0x1bd, L2 | 3);
    expect(bench.reads(0x4000_0000 | PAGE, 0x1ab_cdef)).toBe(DATA + PAGE);
    expect([bench.reads(0, 0x200_0000), bench.reason()]).toEqual([-1, 0x84]);
    expect([bench.reads(0xffff_ffff, 0x1ff_ffff), bench.reason()]).toEqual([-1, 0x79]);
  });
});

describe('what a unit in scalable mode has cached', () => {
  it('is a PASID entry, until PASIDs are dropped by domain, by PASID or all', () => {
    for (const [first, second] of [
      [0x37, 0],
      [0x07 | (DOMAIN << 16), 0],
      [0x17 | (DOMAIN << 16), 0],
    ] as const) {
      const bench = openBench();
      expect(bench.reads(IOVA)).toBe(DATA);
      bench.put(PASIDS, 0);
      bench.submit(0x11);
      bench.submit(0x12);
      bench.submit(0x07 | ((DOMAIN + 1) << 16));
      bench.submit(0x17 | (DOMAIN << 16), 3);
      expect(bench.reads(IOVA)).toBe(DATA);
      bench.submit(first, second);
      expect([bench.reads(IOVA), bench.reason()]).toEqual([-1, 0x59]);
    }
  });

  it('is a context, until contexts are dropped: it has no domain', () => {
    for (const [first, second] of [
      [0x11, 0],
      [0x21 | (9 << 16), 0],
      [0x31 | (9 << 16), 0x20],
    ] as const) {
      const bench = openBench();
      expect(bench.reads(IOVA)).toBe(DATA);
      bench.memory.u8.fill(0, CONTEXT, CONTEXT + PAGE);
      bench.submit(0x37);
      bench.submit(0x31, 0x28);
      expect(bench.reads(IOVA)).toBe(DATA);
      bench.submit(first, second);
      expect([bench.reads(IOVA), bench.reason()]).toEqual([-1, 0x41]);
    }
  });
});
