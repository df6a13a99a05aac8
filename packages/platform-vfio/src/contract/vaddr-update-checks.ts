import { EINVAL, ENOENT } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  type Type1Container,
} from '../container/vfio-container.ts';
import {
  expectMapped,
  expectResult,
  fillLock,
  lockLimit,
  mapTwo,
  PAGE,
  READ_WRITE,
  type Type1ContainerCheck,
} from './container-check.ts';

const INVALIDATE = VFIO_DMA_UNMAP_FLAG_VADDR;
const INVALIDATE_ALL = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;

/** Gives the first mapping of {@link mapTwo} the memory at `address`. */
function update(container: Type1Container, iova = 4 * PAGE, size = 4 * PAGE, address = 0): number {
  return container.mapDma(address, iova, size, VFIO_DMA_MAP_FLAG_VADDR);
}

/**
 * The rules for memory of mappings that gets other addresses: VFIO_UPDATE_VADDR, which Linux has since 5.12. A mapping
 * keeps its pages and its device all the time.
 */
export const VADDR_UPDATE_CHECKS: readonly Type1ContainerCheck[] = [
  {
    name: 'gives EINVAL for a permission beside new memory, and for an unknown flag',
    run({ container }) {
      mapTwo(container);
      container.unmapDma(0, 0, INVALIDATE_ALL);
      for (const more of [VFIO_DMA_MAP_FLAG_READ, READ_WRITE, 8])
        expectResult(container.mapDma(0, 4 * PAGE, 4 * PAGE, VFIO_DMA_MAP_FLAG_VADDR | more), EINVAL, `flag ${more}`);
      expectResult(update(container), 0, 'alone');
    },
  },
  {
    name: 'invalidates the memory of all mappings, and unmaps none',
    run({ container }) {
      mapTwo(container);
      const { available } = container.info();
      expectResult(container.unmapDma(PAGE, 0, INVALIDATE_ALL), EINVAL, 'an address');
      expectResult(container.unmapDma(0, PAGE, INVALIDATE_ALL), EINVAL, 'a size');
      expectResult(container.unmapDma(0, 0, INVALIDATE_ALL), 6 * PAGE, 'all');
      expectResult(container.info().available, available, 'mappings that can still be made');
      expectMapped(container, true, true);
    },
  },
  {
    name: 'invalidates the mappings of a range, and gives 0 where none is',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(8 * PAGE, PAGE, INVALIDATE), 0, 'between them');
      expectResult(container.unmapDma(4 * PAGE, 4 * PAGE, INVALIDATE), 4 * PAGE, 'the first');
      expectResult(update(container, 10 * PAGE, 2 * PAGE), EINVAL, 'the second is valid');
      expectResult(update(container), 0, 'the first');
    },
  },
  {
    name: 'gives EINVAL for invalidating memory again, and then what was invalidated with it is valid',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(10 * PAGE, 2 * PAGE, INVALIDATE), 2 * PAGE, 'the second');
      expectResult(container.unmapDma(0, 20 * PAGE, INVALIDATE), EINVAL, 'both');
      expectResult(update(container), EINVAL, 'the first is valid');
      expectResult(update(container, 10 * PAGE, 2 * PAGE), 0, 'the second is still invalid');
    },
  },
  {
    name: 'gives EINVAL for a range that bisects a mapping, and invalidates nothing',
    type: 'type1v2',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(5 * PAGE, PAGE, INVALIDATE), EINVAL, 'inside');
      expectResult(update(container), EINVAL, 'it is valid');
    },
  },
  {
    name: 'gives ENOENT for new memory where nothing is mapped, and EINVAL where that is not exactly a mapping',
    run({ container }) {
      expectResult(update(container), ENOENT, 'nothing');
      mapTwo(container);
      container.unmapDma(0, 0, INVALIDATE_ALL);
      expectResult(update(container, 8 * PAGE, PAGE), ENOENT, 'between them');
      for (const [what, iova, size] of [
        ['its first page', 4 * PAGE, PAGE],
        ['its last page', 7 * PAGE, PAGE],
        ['one page more', 4 * PAGE, 5 * PAGE],
        ['one page before', 3 * PAGE, 5 * PAGE],
      ] as const)
        expectResult(update(container, iova, size), EINVAL, what);
      expectResult(update(container), 0, 'exactly it');
      expectResult(update(container), EINVAL, 'again');
    },
  },
  {
    name: 'checks the form of a request for new memory as that of a mapping',
    run({ container }) {
      mapTwo(container);
      container.unmapDma(0, 0, INVALIDATE_ALL);
      expectResult(update(container, 4 * PAGE, 4 * PAGE, 16), EINVAL, 'memory inside a page');
      expectResult(update(container, 4 * PAGE, 0), EINVAL, 'no bytes');
      expectResult(update(container, 4 * PAGE + 16), EINVAL, 'an address inside a page');
    },
  },
  {
    name: 'unmaps a mapping whose memory is invalid, and makes others meanwhile',
    run({ container }) {
      mapTwo(container);
      container.unmapDma(0, 0, INVALIDATE_ALL);
      expectResult(container.mapDma(0, 20 * PAGE, PAGE, READ_WRITE), 0, 'another one');
      expectResult(container.unmapDma(4 * PAGE, 4 * PAGE), 4 * PAGE, 'the first');
      expectResult(update(container), ENOENT, 'which is gone');
      expectResult(update(container, 10 * PAGE, 2 * PAGE), 0, 'the second');
    },
  },
  {
    name: 'counts memory once, whatever addresses it gets in one process',
    run(subject) {
      const { container } = subject;
      mapTwo(container);
      container.unmapDma(0, 0, INVALIDATE_ALL);
      expectResult(update(container, 4 * PAGE, 4 * PAGE, 8 * PAGE), 0, 'other memory');
      expectResult(update(container, 10 * PAGE, 2 * PAGE), 0, 'the second');
      fillLock(subject, lockLimit(subject) - 6 * PAGE);
      expectResult(container.unmapDma(4 * PAGE, 4 * PAGE), 4 * PAGE, 'the first');
      expectResult(container.mapDma(0, 4 * PAGE, 4 * PAGE, READ_WRITE), 0, 'as much again');
    },
  },
];
