import assert from 'node:assert/strict';
import { EEXIST, EFAULT, EINVAL, ENOMEM, ENOSPC } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1V2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
} from '../container/vfio-container.ts';
import {
  expectMapped,
  expectResult,
  fillLock,
  lockLimit,
  mapTwo,
  PAGE,
  rangesOf,
  READ_WRITE,
  WRAP,
  type Type1ContainerCheck,
} from './container-check.ts';
import { VADDR_UPDATE_CHECKS } from './vaddr-update-checks.ts';

type MapRequest = readonly [what: string, address: number, iova: number, size: number, flags?: number];

/** Each is refused with EINVAL, whatever the container holds. */
const INVALID_MAPPINGS: readonly MapRequest[] = [
  ['an unknown flag', 0, 0, PAGE, READ_WRITE | 8],
  ['neither read nor write', 0, 0, PAGE, 0],
  ['no bytes', 0, 0, 0],
  ['a size that is not whole pages', 0, 0, PAGE + 1],
  ['an I/O virtual address inside a page', 0, 16, PAGE],
  ['memory inside a page', 16, 0, PAGE],
  ['addresses that are not numbers', Number.NaN, 0, PAGE],
  ['an I/O virtual address that wraps', 0, WRAP - PAGE, 2 * PAGE],
  ['memory that wraps', WRAP - PAGE, 0, 2 * PAGE],
  ['a negative I/O virtual address', 0, -PAGE, PAGE],
];

/** Overlaps of a mapping of pages 4 to 7. */
const OVERLAPS: readonly MapRequest[] = [
  ['the same range', 0, 4 * PAGE, 4 * PAGE],
  ['its first page', 0, 4 * PAGE, PAGE],
  ['its last page', 0, 7 * PAGE, PAGE],
  ['a range over its start', 0, 3 * PAGE, 2 * PAGE],
  ['a range over its end', 0, 7 * PAGE, 2 * PAGE],
  ['a range around it', 0, 2 * PAGE, 10 * PAGE],
];

type Unmapping = readonly [what: string, iova: number, size: number, pages?: number];

/** Each is refused with EINVAL and unmaps nothing. */
const INVALID_UNMAPPINGS: readonly Unmapping[] = [
  ['an address inside a page', 16, PAGE],
  ['a size that is not whole pages', 4 * PAGE, 100],
  ['no bytes', 4 * PAGE, 0],
  ['a range that wraps', WRAP - PAGE, 2 * PAGE],
  ['an address that is not a number', Number.NaN, PAGE],
];

/** Ranges that bisect a mapping: version 2 then unmaps nothing. */
const HALVES: readonly Unmapping[] = [
  ['begins inside', 5 * PAGE, 3 * PAGE],
  ['ends inside', 4 * PAGE, 3 * PAGE],
  ['lies inside', 5 * PAGE, PAGE],
  ['begins inside and covers the next', 5 * PAGE, 20 * PAGE],
  ['covers the one before and ends inside', 0, 11 * PAGE],
];

/** Version 1 unmaps nothing for a range that begins inside a mapping, and reports success. */
const OLD_MISSES: readonly Unmapping[] = [
  ['begins inside', 5 * PAGE, PAGE],
  ['begins inside and covers the next', 5 * PAGE, 20 * PAGE],
  ['begins at the last page of', 7 * PAGE, PAGE],
];

/** Version 1 unmaps each mapping whose first page is in the range. */
const OLD_HITS: readonly Unmapping[] = [
  ['its first page', 4 * PAGE, PAGE, 4],
  ['a range over its start', 3 * PAGE, 2 * PAGE, 4],
  ['a range that ends inside the second', 0, 11 * PAGE, 6],
];

/** The checks of VFIO_IOMMU_UNMAP_DMA. */
const UNMAP_CHECKS: readonly Type1ContainerCheck[] = [
  ...INVALID_UNMAPPINGS.map(([what, iova, size]): Type1ContainerCheck => ({
    name: `gives EINVAL for unmapping ${what}`,
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(iova, size), EINVAL, what);
      expectMapped(container, true, true);
    },
  })),
  ...HALVES.map(([what, iova, size]): Type1ContainerCheck => ({
    name: `gives EINVAL for unmapping a range that ${what} a mapping, and unmaps nothing`,
    type: 'type1v2',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(iova, size), EINVAL, what);
      expectMapped(container, true, true);
    },
  })),
  ...OLD_MISSES.map(([what, iova, size]): Type1ContainerCheck => ({
    name: `succeeds with 0 for unmapping a range that ${what} a mapping, and unmaps nothing`,
    type: 'type1',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(iova, size), 0, what);
      expectMapped(container, true, true);
    },
  })),
  ...OLD_HITS.map(([what, iova, size, pages]): Type1ContainerCheck => ({
    name: `unmaps a whole mapping by ${what}`,
    type: 'type1',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(iova, size), pages! * PAGE, what);
      expectMapped(container, false, pages === 4);
    },
  })),
  {
    name: 'unmaps several whole mappings, and the holes between them',
    run({ container }) {
      mapTwo(container);
      const { available } = container.info();
      expectResult(container.unmapDma(3 * PAGE, 20 * PAGE), 6 * PAGE, 'both');
      assert.equal(container.info().available, available + 2);
      expectMapped(container, false, false);
    },
  },
  {
    name: 'unmaps one mapping and keeps the other',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(10 * PAGE, 2 * PAGE), 2 * PAGE, 'the second');
      expectMapped(container, true, false);
    },
  },
  {
    name: 'gives 0 for unmapping where nothing is mapped',
    run({ container }) {
      expectResult(container.unmapDma(0, 2 ** 31), 0, 'nothing');
      mapTwo(container);
      expectResult(container.unmapDma(0, 4 * PAGE), 0, 'before it');
      expectResult(container.unmapDma(8 * PAGE, 2 * PAGE), 0, 'between them');
      expectMapped(container, true, true);
    },
  },
  {
    name: 'unmaps everything with UNMAP_ALL, which takes address 0 and size 0',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(PAGE, 0, VFIO_DMA_UNMAP_FLAG_ALL), EINVAL, 'an address');
      expectResult(container.unmapDma(0, PAGE, VFIO_DMA_UNMAP_FLAG_ALL), EINVAL, 'a size');
      expectResult(container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 6 * PAGE, 'all');
      expectResult(container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0, 'none');
      expectMapped(container, false, false);
    },
  },
];

/**
 * The rules of a Linux container of type 1, in the order of the kernel's checks (`vfio_dma_do_map`,
 * `vfio_dma_do_unmap`). Both the kernel's own container and the simulated one must pass. The list needs no test
 * framework, so it also runs inside an emulated machine.
 */
export const TYPE1_CONTAINER_CHECKS: readonly Type1ContainerCheck[] = [
  ...INVALID_MAPPINGS.map(([what, address, iova, size, flags = READ_WRITE]): Type1ContainerCheck => ({
    name: `gives EINVAL for ${what}`,
    run({ container }) {
      const { available } = container.info();
      expectResult(container.mapDma(address, iova, size, flags), EINVAL, what);
      assert.equal(container.info().available, available);
    },
  })),
  ...OVERLAPS.map(([what, address, iova, size]): Type1ContainerCheck => ({
    name: `gives EEXIST for ${what} of a mapping`,
    run({ container }) {
      expectResult(container.mapDma(0, 4 * PAGE, 4 * PAGE, READ_WRITE), 0, 'the mapping');
      expectResult(container.mapDma(address, iova, size, READ_WRITE), EEXIST, what);
      expectResult(container.mapDma(0, 3 * PAGE, PAGE, READ_WRITE), 0, 'right before it');
      expectResult(container.mapDma(0, 8 * PAGE, PAGE, READ_WRITE), 0, 'right behind it');
    },
  })),
  {
    name: 'reports its page size, its ranges in order, and how many more mappings fit',
    run({ container }) {
      const before = container.info();
      assert.equal(before.pageSize, PAGE);
      for (const [i, { start, end }] of before.iovaRanges.entries()) {
        assert.ok(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start < end);
        assert.ok(i === 0 || start > before.iovaRanges[i - 1]!.end, 'in order');
      }
      container.mapDma(0, 0, PAGE, READ_WRITE);
      container.mapDma(0, PAGE, PAGE, VFIO_DMA_MAP_FLAG_READ);
      container.mapDma(0, 2 * PAGE, PAGE, VFIO_DMA_MAP_FLAG_WRITE);
      assert.equal(container.info().available, before.available - 3);
      expectResult(container.unmapDma(0, 3 * PAGE), 3 * PAGE, 'all of them');
      assert.deepEqual(container.info(), before);
    },
  },
  {
    name: 'maps up to a reserved range, directly behind it, and up to the last address',
    run({ container }) {
      const [before, behind, last] = rangesOf(container);
      for (const iova of [before.end + 1 - PAGE, behind.start, last.end + 1 - PAGE])
        expectResult(container.mapDma(0, iova, PAGE, READ_WRITE), 0, `0x${iova.toString(16)}`);
    },
  },
  {
    name: 'gives EINVAL for reserved addresses, and for addresses beyond the last one',
    run({ container }) {
      const [before, behind, last] = rangesOf(container);
      for (const [what, iova, size] of [
        ['its first page', before.end + 1, PAGE],
        ['its last page', behind.start - PAGE, PAGE],
        ['a range around it', before.end + 1 - PAGE, behind.start - before.end + 2 * PAGE - 1],
        ['a range over its start', before.end + 1 - PAGE, 2 * PAGE],
        ['a range over its end', behind.start - PAGE, 2 * PAGE],
        ['the first page beyond', last.end + 1, PAGE],
        ['a range over the end', last.end + 1 - PAGE, 2 * PAGE],
      ] as const)
        expectResult(container.mapDma(0, iova, size, READ_WRITE), EINVAL, what);
    },
  },
  {
    name: 'gives EFAULT for memory outside the process, and leaves nothing mapped or locked',
    run({ container, memorySize }) {
      expectResult(container.mapDma(memorySize, 0, PAGE, READ_WRITE), EFAULT, 'behind the end');
      expectResult(container.mapDma(memorySize - PAGE, 0, 3 * PAGE, READ_WRITE), EFAULT, 'over the end');
      expectResult(container.mapDma(2 ** 50, 0, PAGE, READ_WRITE), EFAULT, 'far away');
      expectResult(container.unmapDma(0, 3 * PAGE), 0, 'nothing is mapped');
      expectResult(container.mapDma(0, 0, 3 * PAGE, READ_WRITE), 0, 'the addresses are free');
      fillLock({ container, memorySize }, lockLimit({ container, memorySize }) - 3 * PAGE);
    },
  },
  {
    name: 'gives ENOMEM beyond the memory-lock limit, and leaves nothing mapped or locked',
    run(subject) {
      const { container } = subject;
      const limit = lockLimit(subject);
      expectResult(container.mapDma(0, 2 ** 32, limit + PAGE, READ_WRITE), ENOMEM, 'one page too many');
      expectResult(container.unmapDma(2 ** 32, limit + PAGE), 0, 'nothing is mapped');
      fillLock(subject, limit);
      expectResult(container.mapDma(0, 0, PAGE, READ_WRITE), ENOMEM, 'one page more');
      expectResult(container.unmapDma(2 ** 32, limit), limit, 'all of it');
      expectResult(container.mapDma(0, 0, PAGE, READ_WRITE), 0, 'there is room again');
    },
  },
  {
    name: 'counts a page once for each of its mappings',
    run(subject) {
      const { container } = subject;
      const half = Math.ceil(lockLimit(subject) / PAGE / 2) * PAGE;
      expectResult(container.mapDma(0, 2 ** 32, half, READ_WRITE), 0, 'once');
      expectResult(container.mapDma(0, 2 ** 33, half + PAGE, READ_WRITE), ENOMEM, 'twice');
    },
  },
  {
    name: 'checks page by page: EFAULT or ENOMEM, whichever comes first',
    run(subject) {
      const { container, memorySize } = subject;
      fillLock(subject, lockLimit(subject) - PAGE);
      expectResult(container.mapDma(memorySize - 2 * PAGE, 0, 3 * PAGE, READ_WRITE), ENOMEM, 'the second');
      expectResult(container.mapDma(memorySize - PAGE, 0, 3 * PAGE, READ_WRITE), EFAULT, 'the second is missing');
    },
  },
  {
    name: 'gives ENOSPC at its limit of mappings',
    run({ container }) {
      const { available } = container.info();
      assert.ok(available <= 4096, `${available} mappings are too many to try`);
      const behind = available * 2 * PAGE;
      for (let i = 0; i < available; i++) expectResult(container.mapDma(0, i * 2 * PAGE, PAGE, READ_WRITE), 0, `${i}`);
      assert.equal(container.info().available, 0);
      expectResult(container.mapDma(0, behind, PAGE, READ_WRITE), ENOSPC, 'one more');
      // The order of the checks: overlap, number of mappings, reserved ranges.
      expectResult(container.mapDma(0, 0, PAGE, READ_WRITE), EEXIST, 'one that is there');
      const [before] = rangesOf(container);
      expectResult(container.mapDma(0, before.end + 1, PAGE, READ_WRITE), ENOSPC, 'a reserved one');
      expectResult(container.mapDma(0, behind, PAGE, 0), EINVAL, 'an impossible one');
      expectResult(container.unmapDma(2 * PAGE, PAGE), PAGE, 'one less');
      expectResult(container.mapDma(0, behind, PAGE, READ_WRITE), 0, 'room for one');
      expectResult(container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), available * PAGE, 'all');
    },
  },
  {
    name: 'has the extensions of type 1, and answers 0 for one that does not exist',
    run({ container }) {
      for (const extension of [VFIO_TYPE1_IOMMU, VFIO_TYPE1V2_IOMMU, VFIO_UNMAP_ALL, VFIO_UPDATE_VADDR])
        expectResult(container.checkExtension(extension), 1, `extension ${extension}`);
      expectResult(container.checkExtension(9999), 0, 'an unknown one');
    },
  },
  ...UNMAP_CHECKS,
  ...VADDR_UPDATE_CHECKS,
];
