import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EEXIST,
  EFAULT,
  EINVAL,
  ENOMEM,
  ENOSPC,
  IoPageTable,
  SimulatedType1Container,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  vfioOptionsSchema,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';

const RW = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
const PAGE = PAGE_SIZE;
const MEMORY = 64 * PAGE;

function open(input: VfioOptionsInput = {}): { container: SimulatedType1Container; table: IoPageTable } {
  const options = vfioOptionsSchema.parse(input);
  const table = IoPageTable.create(options.addressWidth);
  const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  const type = options.container === 'type1' ? 'type1' : 'type1v2';
  return { container: new SimulatedType1Container(type, memory, table, options), table };
}

/** A mapping of the model, in pages. */
interface Piece {
  readonly first: number;
  readonly end: number;
}

/** Addresses above the reserved range, each of which takes a leaf table of its own. */
function leafTable(index: number): number {
  return 2 ** 32 + index * 2 ** 21;
}

describe('SimulatedType1Container.mapDma', () => {
  it.each([
    ['an unknown flag', 0, 0, PAGE, RW | 8],
    ['the flag that updates virtual addresses, and a permission', 0, 0, PAGE, 4 | 1],
    ['neither read nor write', 0, 0, PAGE, 0],
    ['no bytes', 0, 0, 0, RW],
    ['a size that is not whole pages', 0, 0, PAGE + 1, RW],
    ['an I/O virtual address inside a page', 0, 16, PAGE, RW],
    ['memory inside a page', 16, 0, PAGE, RW],
    ['addresses that are no numbers', Number.NaN, 0, PAGE, RW],
    ['an I/O virtual address that wraps', 0, 2 ** 64 - PAGE, 2 * PAGE, RW],
    ['memory that wraps', 2 ** 64 - PAGE, 0, 2 * PAGE, RW],
    ['the first interrupt page', 0, 0xfee0_0000, PAGE, RW],
    ['the last interrupt page', 0, 0xfeef_f000, PAGE, RW],
    ['a range around the interrupt pages', 0, 0xfedf_f000, 2 * 2 ** 20, RW],
    ['an address beyond the aperture', 0, 2 ** 39, PAGE, RW],
    ['a range that ends beyond the aperture', 0, 2 ** 39 - PAGE, 2 * PAGE, RW],
    ['a negative I/O virtual address', 0, -PAGE, PAGE, RW],
  ])('gives EINVAL for %s', (_what, address, iova, size, flags) => {
    const { container } = open();
    expect(container.mapDma(address, iova, size, flags)).toBe(EINVAL);
    expect(container.lockedBytes).toBe(0);
    expect(container.info().available).toBe(65535);
  });

  it('maps right up to the reserved range, right behind it, and to the end of the aperture', () => {
    const { container } = open();
    for (const iova of [0, 0xfedf_f000, 0xfef0_0000, 2 ** 39 - PAGE])
      expect(container.mapDma(0, iova, PAGE, RW)).toBe(0);
  });

  it('maps addresses above 39 bits where the IOMMU has 48', () => {
    const { container } = open({ addressWidth: 48 });
    expect(container.mapDma(0, 2 ** 48 - PAGE, PAGE, RW)).toBe(0);
    expect(container.mapDma(0, 2 ** 48, PAGE, RW)).toBe(EINVAL);
  });

  it.each([
    ['the same range', 4 * PAGE, 4 * PAGE],
    ['its first page', 4 * PAGE, PAGE],
    ['its last page', 7 * PAGE, PAGE],
    ['a range over its start', 3 * PAGE, 2 * PAGE],
    ['a range over its end', 7 * PAGE, 2 * PAGE],
    ['a range around it', 2 * PAGE, 10 * PAGE],
  ])('gives EEXIST for %s of a mapping', (_what, iova, size) => {
    const { container } = open();
    container.mapDma(0, 4 * PAGE, 4 * PAGE, RW);
    expect(container.mapDma(0, iova, size, RW)).toBe(EEXIST);
    expect(container.mapDma(0, 3 * PAGE, PAGE, RW)).toBe(0);
    expect(container.mapDma(0, 8 * PAGE, PAGE, RW)).toBe(0);
  });

  it('gives ENOSPC when it holds as many mappings as it may', () => {
    const { container } = open({ entryLimit: 2 });
    container.mapDma(0, 0, PAGE, RW);
    container.mapDma(0, PAGE, PAGE, RW);
    expect(container.info().available).toBe(0);
    expect(container.mapDma(0, 2 * PAGE, PAGE, RW)).toBe(ENOSPC);
    container.unmapDma(0, PAGE);
    expect(container.mapDma(0, 2 * PAGE, PAGE, RW)).toBe(0);
  });

  it('gives ENOMEM over the memory-lock limit, and takes nothing then', () => {
    const { container, table } = open({ memoryLockLimit: 4 * PAGE });
    container.mapDma(0, 0, 3 * PAGE, RW);
    expect(container.mapDma(0, 8 * PAGE, 2 * PAGE, RW)).toBe(ENOMEM);
    expect(container.lockedBytes).toBe(3 * PAGE);
    expect(table.entry(8 * PAGE, 0)).toBe(0);
    expect(container.mapDma(0, 8 * PAGE, PAGE, RW)).toBe(0);
  });

  it('counts a page twice that is mapped twice', () => {
    const { container } = open({ memoryLockLimit: 2 * PAGE });
    expect(container.mapDma(PAGE, 0, PAGE, RW)).toBe(0);
    expect(container.mapDma(PAGE, PAGE, PAGE, RW)).toBe(0);
    expect(container.lockedBytes).toBe(2 * PAGE);
    expect(container.mapDma(PAGE, 2 * PAGE, PAGE, RW)).toBe(ENOMEM);
  });

  it('rounds a memory-lock limit down to pages', () => {
    const { container } = open({ memoryLockLimit: 2 * PAGE - 1 });
    expect(container.mapDma(0, 0, PAGE, RW)).toBe(0);
    expect(container.mapDma(0, PAGE, PAGE, RW)).toBe(ENOMEM);
  });

  it('gives EFAULT for memory that the process does not have', () => {
    const { container } = open();
    expect(container.mapDma(MEMORY, 0, PAGE, RW)).toBe(EFAULT);
    expect(container.mapDma(MEMORY - PAGE, 0, 2 * PAGE, RW)).toBe(EFAULT);
    expect(container.mapDma(-PAGE, 0, PAGE, RW)).toBe(EFAULT);
    expect(container.lockedBytes).toBe(0);
  });

  it('gives ENOMEM when its page tables are full, and undoes what it had filled', () => {
    const { container, table } = open({ memoryLockLimit: '1GiB' });
    let mapped = 0;
    while (container.mapDma(0, leafTable(mapped), PAGE, RW) === 0) mapped++;
    expect(container.mapDma(0, leafTable(mapped), PAGE, RW)).toBe(ENOMEM);
    expect(mapped).toBeGreaterThan(8192);
    // The first page finds a table, the second needs another.
    const last = leafTable(mapped) - PAGE;
    expect(container.mapDma(0, last, 2 * PAGE, RW)).toBe(ENOMEM);
    expect(table.entry(last >>> 0, Math.floor(last / 2 ** 32))).toBe(0);
    expect(container.lockedBytes).toBe(mapped * PAGE);
    expect(container.mapDma(0, last, PAGE, RW)).toBe(0);
  });

  it('checks in the order of the kernel', () => {
    const { container } = open({ entryLimit: 1, memoryLockLimit: PAGE });
    container.mapDma(0, 4 * PAGE, PAGE, RW);
    // Each call is wrong in all the ways behind the one that is told.
    expect(container.mapDma(16, 2 ** 64 - PAGE, 3 * PAGE, 8)).toBe(EINVAL);
    expect(container.mapDma(MEMORY, 4 * PAGE, 2 ** 40, RW)).toBe(EEXIST);
    expect(container.mapDma(MEMORY, 0xfee0_0000, 4 * PAGE, RW)).toBe(ENOSPC);
    container.unmapDma(4 * PAGE, PAGE);
    expect(container.mapDma(MEMORY, 0xfee0_0000, 4 * PAGE, RW)).toBe(EINVAL);
    // Pages are pinned in order: the second is over the limit before the third is found missing.
    expect(container.mapDma(MEMORY - 2 * PAGE, 0, 3 * PAGE, RW)).toBe(ENOMEM);
    expect(container.mapDma(MEMORY - PAGE, 0, 3 * PAGE, RW)).toBe(EFAULT);
  });
});

describe.each(['type1', 'type1v2'] as const)('SimulatedType1Container of %s', (type) => {
  it('has no limit with CAP_IPC_LOCK, and still counts', () => {
    const { container } = open({ container: type, memoryLockLimit: PAGE, capIpcLock: true });
    expect(container.mapDma(0, 0, 3 * PAGE, RW)).toBe(0);
    expect(container.lockedBytes).toBe(3 * PAGE);
    expect(container.info().memoryLockLimit).toBeUndefined();
    expect(container.mapDma(MEMORY - PAGE, 2 ** 21, 2 * PAGE, RW)).toBe(EFAULT);
  });

  it('counts what the process has locked by other means, in whole pages', () => {
    const { container } = open({ container: type, memoryLockLimit: 3 * PAGE, lockedByProcess: PAGE + 1 });
    expect(container.mapDma(0, 0, 2 * PAGE, RW)).toBe(ENOMEM);
    expect(container.mapDma(0, 0, PAGE, RW)).toBe(0);
    const full = open({ container: type, memoryLockLimit: PAGE, lockedByProcess: '1MiB' });
    expect(full.container.mapDma(0, 0, PAGE, RW)).toBe(ENOMEM);
  });

  it('keeps nothing pinned when it fails half-way', () => {
    const { container, table } = open({ container: type, memoryLockLimit: 4 * PAGE });
    expect(container.mapDma(MEMORY - 2 * PAGE, 0, 3 * PAGE, RW)).toBe(EFAULT);
    expect(container.mapDma(0, 0, 5 * PAGE, RW)).toBe(ENOMEM);
    expect([0, 1, 2].map((page) => table.entry(page * PAGE, 0))).toEqual([0, 0, 0]);
    expect(container.lockedBytes).toBe(0);
    expect(container.mapDma(0, 0, 4 * PAGE, RW)).toBe(0);
  });

  it('maps around reserved ranges, and names what is left', () => {
    const reserved = [
      { start: 0x10_0000, size: '1MiB' },
      { start: 0xfef0_0000, size: '1MiB' },
      { start: 2 ** 39 - 0x10_0000, size: '1MiB' },
    ];
    const { container } = open({ container: type, reserved });
    expect(container.info().iovaRanges).toEqual([
      { start: 0, end: 0xf_ffff },
      { start: 0x20_0000, end: 0xfedf_ffff },
      { start: 0xff00_0000, end: 2 ** 39 - 0x10_0001 },
    ]);
    for (const [iova, size] of [
      [0x10_0000, PAGE],
      [0xf_f000, 2 * PAGE],
      [0x1f_f000, 2 * PAGE],
      [0xf_f000, 0x10_2000],
      [0xfef0_0000, PAGE],
      [2 ** 39 - PAGE, PAGE],
    ] as const)
      expect(container.mapDma(0, iova, size, RW)).toBe(EINVAL);
    expect(container.mapDma(0, 0xf_f000, PAGE, RW)).toBe(0);
    expect(container.mapDma(0, 0x20_0000, PAGE, RW)).toBe(0);
  });

  it('unmaps everything at once with UNMAP_ALL, which names no range', () => {
    const { container, table } = open({ container: type });
    for (const page of [0, 3, 8]) container.mapDma(0, page * PAGE, 2 * PAGE, RW);
    expect(container.unmapDma(PAGE, 0, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(EINVAL);
    expect(container.unmapDma(0, PAGE, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(EINVAL);
    expect(container.unmapDma(0, PAGE, 1)).toBe(EINVAL);
    expect(container.lockedBytes).toBe(6 * PAGE);
    expect(container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(6 * PAGE);
    expect(container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(0);
    expect(container.lockedBytes).toBe(0);
    expect([0, 3, 9].map((page) => table.entry(page * PAGE, 0))).toEqual([0, 0, 0]);
  });

  it('unmaps what a model of separate mappings unmaps, and the device reaches just the rest', () => {
    const page = fc.nat({ max: 15 });
    const step = fc.record({ isMap: fc.boolean(), first: page, pages: fc.integer({ min: 1, max: 6 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { container, table } = open({ container: type });
        let model: Piece[] = [];
        for (const { isMap, first, pages } of steps) {
          const end = first + pages;
          const hit = model.filter((piece) => piece.first < end && first < piece.end);
          if (isMap) {
            expect(container.mapDma(0, first * PAGE, pages * PAGE, RW)).toBe(hit.length > 0 ? EEXIST : 0);
            if (hit.length === 0) model.push({ first, end });
            continue;
          }
          const begins = hit.some((piece) => piece.first < first);
          const cuts = begins || hit.some((piece) => piece.end > end);
          const gone = (type === 'type1' ? begins : cuts) ? [] : hit;
          model = model.filter((piece) => !gone.includes(piece));
          const bytes = gone.reduce((sum, piece) => sum + piece.end - piece.first, 0) * PAGE;
          expect(container.unmapDma(first * PAGE, pages * PAGE)).toBe(cuts && type === 'type1v2' ? EINVAL : bytes);
        }
        for (let at = 0; at < 22; at++) {
          const isMapped = model.some((piece) => piece.first <= at && at < piece.end);
          expect(table.entry(at * PAGE, 0) !== 0).toBe(isMapped);
        }
        expect(container.lockedBytes).toBe(model.reduce((sum, piece) => sum + piece.end - piece.first, 0) * PAGE);
      }),
    );
  });
});

describe('SimulatedType1Container.unmapDma of version 1', () => {
  function openOld(): ReturnType<typeof open> {
    const opened = open({ container: 'type1' });
    opened.container.mapDma(0, 4 * PAGE, 4 * PAGE, RW);
    opened.container.mapDma(0, 10 * PAGE, 2 * PAGE, RW);
    return opened;
  }

  it.each([
    ['begins inside', 5 * PAGE, PAGE],
    ['begins inside and covers the next', 5 * PAGE, 20 * PAGE],
    ['begins at the last page', 7 * PAGE, PAGE],
  ])('succeeds with 0 for a range that %s a mapping, and unmaps nothing', (_what, iova, size) => {
    const { container } = openOld();
    expect(container.unmapDma(iova, size)).toBe(0);
    expect(container.lockedBytes).toBe(6 * PAGE);
  });

  it.each([
    ['its first page', 4 * PAGE, PAGE, 4],
    ['a range over its start', 3 * PAGE, 2 * PAGE, 4],
    ['a range that ends inside the second', 0, 11 * PAGE, 6],
  ])('unmaps a whole mapping by %s', (_what, iova, size, pages) => {
    const { container, table } = openOld();
    expect(container.unmapDma(iova, size)).toBe(pages * PAGE);
    expect(container.lockedBytes).toBe((6 - pages) * PAGE);
    expect(table.entry(7 * PAGE, 0)).toBe(0);
  });

  it('checks a request as version 2 does', () => {
    const { container } = openOld();
    for (const [iova, size] of [
      [16, PAGE],
      [4 * PAGE, 100],
      [4 * PAGE, 0],
      [2 ** 64 - PAGE, 2 * PAGE],
    ] as const)
      expect(container.unmapDma(iova, size)).toBe(EINVAL);
    expect(container.unmapDma(0, 4 * PAGE)).toBe(0);
  });
});

describe('SimulatedType1Container.unmapDma', () => {
  it.each([
    ['an address inside a page', 16, PAGE],
    ['a size that is not whole pages', 0, 100],
    ['no bytes', 0, 0],
    ['a range that wraps', 2 ** 64 - PAGE, 2 * PAGE],
  ])('gives EINVAL for %s', (_what, iova, size) => {
    const { container } = open();
    container.mapDma(0, 0, PAGE, RW);
    expect(container.unmapDma(iova, size)).toBe(EINVAL);
    expect(container.lockedBytes).toBe(PAGE);
  });

  it.each([
    ['begins inside', 5 * PAGE, 3 * PAGE],
    ['ends inside', 4 * PAGE, 3 * PAGE],
    ['lies inside', 5 * PAGE, PAGE],
    ['begins inside and covers the next', 5 * PAGE, 20 * PAGE],
    ['covers the one before and ends inside', 0, 5 * PAGE],
  ])('gives EINVAL for a range that %s a mapping, and unmaps nothing', (_what, iova, size) => {
    const { container, table } = open();
    container.mapDma(0, 0, PAGE, RW);
    container.mapDma(0, 4 * PAGE, 4 * PAGE, RW);
    const { generation } = table;
    expect(container.unmapDma(iova, size)).toBe(EINVAL);
    expect(container.lockedBytes).toBe(5 * PAGE);
    expect(table.generation).toBe(generation);
  });

  it('unmaps several whole mappings, and the holes between them', () => {
    const { container, table } = open();
    for (const page of [2, 4, 6, 8]) container.mapDma(0, page * PAGE, PAGE, RW);
    expect(container.unmapDma(3 * PAGE, 4 * PAGE)).toBe(2 * PAGE);
    expect(container.lockedBytes).toBe(2 * PAGE);
    expect(container.info().available).toBe(65533);
    expect([2, 4, 6, 8].map((page) => table.entry(page * PAGE, 0) !== 0)).toEqual([true, false, false, true]);
  });

  it('gives 0 where nothing is mapped', () => {
    const { container, table } = open();
    const { generation } = table;
    expect(container.unmapDma(0, 2 ** 40)).toBe(0);
    expect(table.generation).toBe(generation);
  });

  it('invalidates translations', () => {
    const { container, table } = open();
    container.mapDma(0, 0, PAGE, RW);
    const { generation } = table;
    container.unmapDma(0, PAGE);
    expect(table.generation).not.toBe(generation);
  });
});
