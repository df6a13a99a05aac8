import fc from 'fast-check';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  EADDRINUSE,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  EOVERFLOW,
  IOAS_UNMAP_ALL,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IoPageTable,
  SimulatedIoas,
  vfioOptionsSchema,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';

const RW = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
const FIXED = RW | IOMMU_IOAS_MAP_FIXED_IOVA;
const PAGE = PAGE_SIZE;
const MEMORY = 64 * PAGE;
const WRAP = 2 ** 64;

function open(input: VfioOptionsInput = {}, size = MEMORY): { ioas: SimulatedIoas; table: IoPageTable } {
  const options = vfioOptionsSchema.parse({ container: 'iommufd', ...input });
  const table = IoPageTable.create(options.addressWidth);
  return { ioas: new SimulatedIoas(new GuestMemory(new SharedArrayBuffer(size)), table, options), table };
}

describe('SimulatedIoas.map', () => {
  it.each([
    ['EOPNOTSUPP for an unknown flag, whatever else', 16, WRAP, WRAP, 8, EOPNOTSUPP],
    ['EOVERFLOW for a length of 64 bits, without permissions too', 16, 0, WRAP, 0, EOVERFLOW],
    ['EOVERFLOW for an address of 64 bits', 16, WRAP, 0, 0, EOVERFLOW],
    ['EINVAL for neither read nor write', 2 ** 64 - PAGE, 0, 2 * PAGE, IOMMU_IOAS_MAP_FIXED_IOVA, EINVAL],
    ['EINVAL for no bytes', WRAP, 0, 0, FIXED, EINVAL],
    [
      'EOVERFLOW for memory that wraps, of a length inside a page too',
      2 ** 64 - PAGE,
      16,
      2 * PAGE + 100,
      FIXED,
      EOVERFLOW,
    ],
    ['EINVAL for a length inside a page', MEMORY, 16, 100, FIXED, EINVAL],
    ['EINVAL for a length inside a page, of what is right otherwise', 0, 0, 100, FIXED, EINVAL],
    ['EINVAL for an address inside a page', MEMORY, 16, PAGE, FIXED, EINVAL],
    ['EOVERFLOW for an address that wraps, which is reserved too', 0, 2 ** 64 - PAGE, 2 * PAGE, FIXED, EOVERFLOW],
    ['EINVAL for a reserved address', 0, 0xfee0_0000, PAGE, FIXED, EINVAL],
    ['EINVAL beyond the aperture', 0, 2 ** 39, PAGE, FIXED, EINVAL],
    ['EINVAL for memory inside a page', 16, 0, PAGE, FIXED, EINVAL],
    ['EFAULT for memory that is not there', MEMORY, 0, PAGE, FIXED, EFAULT],
    ['EFAULT for memory before all', -PAGE, 0, PAGE, FIXED, EFAULT],
  ])('gives %s', (_what, address, iova, size, flags, errno) => {
    const { ioas } = open();
    expect(ioas.map(address, iova, size, flags)).toBe(errno);
    expect(ioas.lockedBytes).toBe(0);
  });

  it('gives EEXIST for what overlaps, of bad memory too, and EINVAL first for what is reserved as well', () => {
    const { ioas } = open();
    ioas.map(0, 0xfedf_f000, PAGE, FIXED);
    expect(ioas.map(16, 0xfedf_f000, PAGE, FIXED)).toBe(EEXIST);
    expect(ioas.map(0, 0xfedf_f000, 2 * PAGE, FIXED)).toBe(EINVAL);
  });

  it('finds out that memory is missing before that it is too much: it is accounted when it is pinned', () => {
    const { ioas, table } = open({ memoryLockLimit: PAGE });
    expect(ioas.map(MEMORY - 2 * PAGE, 0, 3 * PAGE, FIXED)).toBe(EFAULT);
    expect(ioas.map(0, 0, 2 * PAGE, FIXED)).toBe(ENOMEM);
    expect(table.entry(0, 0)).toBe(0);
    expect(ioas.lockedBytes).toBe(0);
    expect(ioas.map(0, 0, PAGE, FIXED)).toBe(0);
  });

  it('counts what other processes of the user have pinned, but not with CAP_IPC_LOCK', () => {
    const limits = { memoryLockLimit: 4 * PAGE, lockedByUser: 3 * PAGE };
    const { ioas } = open(limits);
    expect(ioas.map(0, 0, 2 * PAGE, FIXED)).toBe(ENOMEM);
    expect(ioas.map(0, 0, PAGE, FIXED)).toBe(0);
    expect(ioas.map(0, PAGE, PAGE, FIXED)).toBe(ENOMEM);
    expect(open({ ...limits, capIpcLock: true }).ioas.map(0, 0, 64 * PAGE, FIXED)).toBe(0);
  });

  it('permits what its own flags say', () => {
    const { ioas, table } = open();
    ioas.map(0, 0, PAGE, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE);
    ioas.map(0, PAGE, PAGE, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE);
    expect([table.entry(0, 0) & 3, table.entry(PAGE, 0) & 3]).toEqual([1, 2]);
  });
});

describe('SimulatedIoas.map without a fixed address', () => {
  it('chooses the lowest free one, and never 0', () => {
    const { ioas } = open();
    expect(ioas.map(PAGE, 2 ** 38, PAGE, RW)).toBe(PAGE);
    ioas.map(0, 3 * PAGE, PAGE, FIXED);
    expect(ioas.map(PAGE, 0, PAGE, RW)).toBe(2 * PAGE);
    expect(ioas.map(PAGE, 0, PAGE, RW)).toBe(4 * PAGE);
    ioas.unmap(2 * PAGE, PAGE);
    expect(ioas.map(PAGE, 0, PAGE, RW)).toBe(2 * PAGE);
  });

  it('aligns it as the memory is aligned, up to the size', () => {
    const { ioas } = open();
    expect(ioas.map(8 * PAGE, 0, 8 * PAGE, RW)).toBe(8 * PAGE);
    expect(ioas.map(8 * PAGE, 0, 3 * PAGE, RW)).toBe(4 * PAGE);
    expect(ioas.map(0, 0, 16 * PAGE, RW)).toBe(16 * PAGE);
    expect(ioas.map(2 * PAGE, 0, 8 * PAGE, RW)).toBe(32 * PAGE);
    expect(ioas.map(16, 0, PAGE, RW)).toBe(EINVAL);
  });

  it('aligns to no more than a large page', () => {
    const { ioas } = open({ capIpcLock: true }, 8 * 2 ** 20);
    expect(ioas.map(0, 0, 4 * 2 ** 20, RW)).toBe(2 * 2 ** 20);
    expect(ioas.map(0, 0, 2 ** 63, RW)).toBe(EOVERFLOW);
  });

  it('keeps to what it was allowed, and gives ENOSPC beyond', () => {
    const { ioas } = open({ reserved: [{ start: 2 ** 33, size: '1MiB' }] });
    const allowed = { start: 2 ** 32, end: 2 ** 32 + 3 * PAGE - 1 };
    expect(ioas.allowIovas([allowed, { start: 0, end: PAGE - 1 }])).toBe(0);
    expect(ioas.map(0, 0, 4 * PAGE, RW)).toBe(ENOSPC);
    expect([1, 2, 3].map((page) => ioas.map(page * PAGE, 0, PAGE, RW))).toEqual(
      [0, PAGE, 2 * PAGE].map((at) => 2 ** 32 + at),
    );
    expect(ioas.map(MEMORY, 0, PAGE, RW)).toBe(ENOSPC);
    expect(ioas.map(16, 0, PAGE, RW)).toBe(EINVAL);
    // Fixed addresses are not bound by it.
    expect(ioas.map(0, 2 ** 34, PAGE, FIXED)).toBe(2 ** 34);
    expect(ioas.allowIovas([])).toBe(0);
    expect(ioas.map(PAGE, 0, PAGE, RW)).toBe(PAGE);
  });

  it('gives EINVAL to allow ranges that are empty or overlap, and EADDRINUSE for what is reserved', () => {
    const { ioas } = open({ reserved: [{ start: 2 ** 33, size: '1MiB' }] });
    expect(ioas.allowIovas([{ start: 2 ** 33, end: 2 ** 33 }])).toBe(EINVAL);
    expect(
      ioas.allowIovas([
        { start: 0, end: 2 ** 34 },
        { start: 2 ** 34, end: 2 ** 35 },
      ]),
    ).toBe(EINVAL);
    expect(ioas.allowIovas([{ start: 2 ** 32, end: 2 ** 34 }])).toBe(EADDRINUSE);
    expect(ioas.map(PAGE, 0, PAGE, RW)).toBe(PAGE);
  });

  it('chooses addresses that are free, aligned and allowed, whatever is mapped already', () => {
    const request = fc.record({ address: fc.nat({ max: 31 }), pages: fc.integer({ min: 1, max: 16 }), keep: fc.nat() });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
        const { ioas } = open({ reserved: [{ start: 32 * PAGE, size: 16 * PAGE }], capIpcLock: true });
        const live: { start: number; end: number }[] = [];
        for (const { address, pages, keep } of requests) {
          const size = pages * PAGE;
          const start = ioas.map(address * PAGE, 0, size, RW);
          const fresh = { start, end: start + size };
          const alignment = Math.min(2 ** Math.ceil(Math.log2(pages)), address === 0 ? 64 : address & -address) * PAGE;
          expect(start % alignment).toBe(0);
          expect(start).toBeGreaterThanOrEqual(PAGE);
          const taken = [...live, { start: 32 * PAGE, end: 48 * PAGE }];
          expect(taken.filter((other) => other.start < fresh.end && start < other.end)).toEqual([]);
          live.push(fresh);
          if (keep % 3 > 0) continue;
          const [gone] = live.splice(keep % live.length, 1);
          expect(ioas.unmap(gone!.start, gone!.end - gone!.start)).toBe(gone!.end - gone!.start);
        }
        expect(ioas.lockedBytes).toBe(live.reduce((sum, { start, end }) => sum + end - start, 0));
      }),
    );
  });
});

describe('SimulatedIoas.unmap', () => {
  it.each([
    ['EOVERFLOW for 64 bits', 16, WRAP, EOVERFLOW],
    ['EOVERFLOW for an address of 64 bits, of no bytes too', WRAP, 0, EOVERFLOW],
    ['EINVAL for no bytes', 2 ** 64 - PAGE, 0, EINVAL],
    ['EOVERFLOW for a range that wraps', 2 ** 64 - PAGE, 2 * PAGE, EOVERFLOW],
    ['ENOENT where nothing is mapped', 0, 4 * PAGE, ENOENT],
    ['ENOENT for a range that begins inside a mapping', 5 * PAGE, 3 * PAGE, ENOENT],
    ['ENOENT for a range that ends inside a mapping', 4 * PAGE, PAGE, ENOENT],
  ])('gives %s', (_what, iova, size, errno) => {
    const { ioas } = open();
    ioas.map(0, 4 * PAGE, 4 * PAGE, FIXED);
    expect(ioas.unmap(iova, size)).toBe(errno);
    expect(ioas.lockedBytes).toBe(4 * PAGE);
  });

  it('unmaps whole mappings of a range that need not be pages', () => {
    const { ioas, table } = open();
    for (const page of [2, 4, 6]) ioas.map(0, page * PAGE, PAGE, FIXED);
    const { generation } = table;
    expect(ioas.unmap(PAGE + 1, 4 * PAGE)).toBe(2 * PAGE);
    expect(table.generation).not.toBe(generation);
    expect([2, 4, 6].map((page) => table.entry(page * PAGE, 0) !== 0)).toEqual([false, false, true]);
  });

  it('has unmapped what came before the mapping that it would have to cut', () => {
    const { ioas } = open();
    ioas.map(0, 0, PAGE, FIXED);
    ioas.map(0, 4 * PAGE, 4 * PAGE, FIXED);
    expect(ioas.unmap(0, 5 * PAGE)).toBe(ENOENT);
    expect(ioas.lockedBytes).toBe(4 * PAGE);
  });

  it('unmaps everything, which may be nothing', () => {
    const { ioas } = open();
    expect(ioas.unmap(0, IOAS_UNMAP_ALL)).toBe(0);
    ioas.map(0, 0, PAGE, FIXED);
    ioas.map(0, 4 * PAGE, 4 * PAGE, FIXED);
    expect(ioas.unmap(0, IOAS_UNMAP_ALL)).toBe(5 * PAGE);
    expect(ioas.lockedBytes).toBe(0);
  });
});
