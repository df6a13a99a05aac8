import assert from 'node:assert/strict';
import { EEXIST, EINVAL } from '../container/errno.ts';
import { VFIO_DMA_UNMAP_FLAG_ALL, type Type1Container } from '../container/type1-container.ts';
import { expectResult, PAGE, READ_WRITE, WRAP, type Type1ContainerCheck } from './type1-container-check.ts';

type Unmapping = readonly [what: string, iova: number, size: number, pages?: number];

/** Two mappings: pages 4 to 7, and pages 10 and 11. */
function mapTwo(container: Type1Container): void {
  expectResult(container.mapDma(0, 4 * PAGE, 4 * PAGE, READ_WRITE), 0, 'the first mapping');
  expectResult(container.mapDma(0, 10 * PAGE, 2 * PAGE, READ_WRITE), 0, 'the second mapping');
}

/** Finds out which of the two is still there. */
function expectMapped(container: Type1Container, first: boolean, second: boolean): void {
  expectResult(container.mapDma(0, 4 * PAGE, PAGE, READ_WRITE), first ? EEXIST : 0, 'the first mapping afterwards');
  expectResult(container.mapDma(0, 11 * PAGE, PAGE, READ_WRITE), second ? EEXIST : 0, 'the second mapping afterwards');
}

const INVALID: readonly Unmapping[] = [
  ['an address inside a page', 16, PAGE],
  ['a size that is not whole pages', 4 * PAGE, 100],
  ['no bytes', 4 * PAGE, 0],
  ['a range that wraps', WRAP - PAGE, 2 * PAGE],
  ['an address that is no number', Number.NaN, PAGE],
];

/** Ranges that cut a mapping in two: version 2 unmaps nothing then. */
const HALVES: readonly Unmapping[] = [
  ['begins inside', 5 * PAGE, 3 * PAGE],
  ['ends inside', 4 * PAGE, 3 * PAGE],
  ['lies inside', 5 * PAGE, PAGE],
  ['begins inside and covers the next', 5 * PAGE, 20 * PAGE],
  ['covers the one before and ends inside', 0, 11 * PAGE],
];

/** Version 1 unmaps nothing by a range that begins inside a mapping, and calls it a success. */
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
export const TYPE1_UNMAP_CHECKS: readonly Type1ContainerCheck[] = [
  ...INVALID.map(([what, iova, size]): Type1ContainerCheck => ({
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
    name: 'unmaps one and leaves the other',
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
    name: 'unmaps everything at once with UNMAP_ALL, which names no range',
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
