import assert from 'node:assert/strict';
import { EEXIST, EFAULT, EINVAL, ENOMEM, ENOSPC } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  type Type1Container,
} from '../container/type1-container.ts';
import {
  expectResult,
  PAGE,
  READ_WRITE,
  WRAP,
  type Type1ContainerCheck,
  type Type1ContainerSubject,
} from './type1-container-check.ts';
import { TYPE1_UNMAP_CHECKS } from './type1-unmap-checks.ts';

type MapRequest = readonly [what: string, address: number, iova: number, size: number, flags?: number];

/** Each is refused with EINVAL, whatever the container holds. */
const INVALID: readonly MapRequest[] = [
  ['an unknown flag', 0, 0, PAGE, READ_WRITE | 8],
  ['neither read nor write', 0, 0, PAGE, 0],
  ['no bytes', 0, 0, 0],
  ['a size that is not whole pages', 0, 0, PAGE + 1],
  ['an I/O virtual address inside a page', 0, 16, PAGE],
  ['memory inside a page', 16, 0, PAGE],
  ['addresses that are no numbers', Number.NaN, 0, PAGE],
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

/**
 * What Linux does with a container of type 1, in the order of its checks (`vfio_dma_do_map`, `vfio_dma_do_unmap`). The kernel's own
 * container and the simulated one are held to the same list, which needs no test framework, so that it can run where there is none.
 */
export const TYPE1_CONTAINER_CHECKS: readonly Type1ContainerCheck[] = [
  ...INVALID.map(([what, address, iova, size, flags = READ_WRITE]): Type1ContainerCheck => ({
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
    name: 'tells what it maps, and how much more',
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
    name: 'maps right up to a reserved range, right behind it, and to the end',
    run({ container }) {
      const [before, behind, last] = rangesOf(container);
      for (const iova of [before.end + 1 - PAGE, behind.start, last.end + 1 - PAGE])
        expectResult(container.mapDma(0, iova, PAGE, READ_WRITE), 0, `0x${iova.toString(16)}`);
    },
  },
  {
    name: 'gives EINVAL for what is reserved, and for what lies beyond the end',
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
    name: 'gives EFAULT for what is not memory of the process, and keeps nothing of it',
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
    name: 'gives ENOMEM beyond the memory-lock limit, and keeps nothing of it',
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
    name: 'counts memory that is mapped twice twice',
    run(subject) {
      const { container } = subject;
      const half = Math.ceil(lockLimit(subject) / PAGE / 2) * PAGE;
      expectResult(container.mapDma(0, 2 ** 32, half, READ_WRITE), 0, 'once');
      expectResult(container.mapDma(0, 2 ** 33, half + PAGE, READ_WRITE), ENOMEM, 'twice');
    },
  },
  {
    name: 'finds out page by page whether it is missing or too many',
    run(subject) {
      const { container, memorySize } = subject;
      fillLock(subject, lockLimit(subject) - PAGE);
      expectResult(container.mapDma(memorySize - 2 * PAGE, 0, 3 * PAGE, READ_WRITE), ENOMEM, 'the second');
      expectResult(container.mapDma(memorySize - PAGE, 0, 3 * PAGE, READ_WRITE), EFAULT, 'the second is missing');
    },
  },
  {
    name: 'gives ENOSPC when it holds as many mappings as it may',
    run({ container }) {
      const { available } = container.info();
      assert.ok(available <= 4096, `${available} mappings are too many to try`);
      const behind = available * 2 * PAGE;
      for (let i = 0; i < available; i++) expectResult(container.mapDma(0, i * 2 * PAGE, PAGE, READ_WRITE), 0, `${i}`);
      assert.equal(container.info().available, 0);
      expectResult(container.mapDma(0, behind, PAGE, READ_WRITE), ENOSPC, 'one more');
      // The order of the checks: what is there already, how many, what is reserved.
      expectResult(container.mapDma(0, 0, PAGE, READ_WRITE), EEXIST, 'one that is there');
      const [before] = rangesOf(container);
      expectResult(container.mapDma(0, before.end + 1, PAGE, READ_WRITE), ENOSPC, 'a reserved one');
      expectResult(container.mapDma(0, behind, PAGE, 0), EINVAL, 'an impossible one');
      expectResult(container.unmapDma(2 * PAGE, PAGE), PAGE, 'one less');
      expectResult(container.mapDma(0, behind, PAGE, READ_WRITE), 0, 'room for one');
      expectResult(container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), available * PAGE, 'all');
    },
  },
  ...TYPE1_UNMAP_CHECKS,
];

type Ranges = ReturnType<Type1Container['info']>['iovaRanges'];

/** The ranges before and behind the first reserved one, and the last. */
function rangesOf(container: Type1Container): readonly [Ranges[number], Ranges[number], Ranges[number]] {
  const { iovaRanges } = container.info();
  const [before, behind] = iovaRanges;
  assert.ok(before !== undefined && behind !== undefined, 'a container to try has a reserved range in the middle');
  return [before, behind, iovaRanges.at(-1)!];
}

/** Whole pages that the process may lock. */
function lockLimit({ container, memorySize }: Type1ContainerSubject): number {
  const { memoryLockLimit = Infinity } = container.info();
  assert.ok(memoryLockLimit < memorySize, 'a container to try has a memory-lock limit below the memory of its process');
  return Math.floor(memoryLockLimit / PAGE) * PAGE;
}

/** Maps memory far from everything else, which has to succeed. */
function fillLock({ container }: Type1ContainerSubject, bytes: number): void {
  expectResult(container.mapDma(0, 2 ** 32, bytes, READ_WRITE), 0, `${bytes} bytes up to the memory-lock limit`);
}
