import assert from 'node:assert/strict';
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, EOVERFLOW } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
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

/** Mappings to make. More than the 65535 of a container of VFIO would take long. */
const MANY = 200;

/** What a mapping is refused for, and with what. */
const INVALID_MAPPINGS = [
  ['an unknown flag', EINVAL, 0, 0, PAGE, READ_WRITE | 8],
  ['the flag of new memory', EINVAL, 0, 0, PAGE, VFIO_DMA_MAP_FLAG_VADDR],
  ['neither read nor write', EINVAL, 0, 0, PAGE, 0],
  ['no bytes', EINVAL, 0, 0, 0, READ_WRITE],
  ['a size that is not whole pages', EINVAL, 0, 0, PAGE + 1, READ_WRITE],
  ['an I/O virtual address inside a page', EINVAL, 0, 16, PAGE, READ_WRITE],
  ['memory inside a page', EINVAL, 16, 0, PAGE, READ_WRITE],
  ['an I/O virtual address that wraps', EOVERFLOW, 0, WRAP - PAGE, 2 * PAGE, READ_WRITE],
] as const;

const UNMAP_CHECKS: readonly Type1ContainerCheck[] = [
  {
    name: 'gives EINVAL for unmapping no bytes, and for the flags that it does not know',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(4 * PAGE, 0), EINVAL, 'no bytes');
      // A bitmap of dirty pages, and new memory.
      for (const flag of [1, VFIO_DMA_UNMAP_FLAG_VADDR, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL])
        expectResult(container.unmapDma(0, 0, flag), EINVAL, `flag ${flag}`);
      expectMapped(container, true, true);
    },
  },
  {
    name: 'gives EOVERFLOW for unmapping a range that wraps',
    run({ container }) {
      expectResult(container.unmapDma(WRAP - PAGE, 2 * PAGE), EOVERFLOW, 'a range that wraps');
    },
  },
  {
    name: 'gives ENOENT for unmapping a range that ends inside a mapping, and has unmapped those before it',
    type: 'iommufd-type1v2',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(0, 11 * PAGE), ENOENT, 'the first, and half of the second');
      expectMapped(container, false, true);
    },
  },
  {
    name: 'gives ENOENT for unmapping a range that begins inside a mapping, and unmaps nothing',
    type: 'iommufd-type1v2',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(5 * PAGE, 20 * PAGE), ENOENT, 'a part of the first');
      expectMapped(container, true, true);
    },
  },
  {
    name: 'unmaps exactly the pages of a range, and keeps the rest of the mapping',
    type: 'iommufd-type1',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(5 * PAGE, PAGE), PAGE, 'a page inside');
      expectResult(container.mapDma(0, 5 * PAGE, PAGE, READ_WRITE), 0, 'the hole');
      for (const page of [4, 6, 7])
        expectResult(container.mapDma(0, page * PAGE, PAGE, READ_WRITE), EEXIST, `page ${page}`);
      expectResult(container.unmapDma(7 * PAGE, 4 * PAGE), 2 * PAGE, 'the end of one, and the start of the next');
      expectResult(container.unmapDma(0, 64 * PAGE), 4 * PAGE, 'what is left');
    },
  },
  {
    name: 'gives EINVAL for unmapping a part of a page of a mapping, and unmaps nothing',
    type: 'iommufd-type1',
    run({ container }) {
      mapTwo(container);
      expectResult(container.unmapDma(5 * PAGE + 16, PAGE), EINVAL, 'from inside a page');
      expectMapped(container, true, true);
    },
  },
  {
    name: 'unmaps several whole mappings, and the holes between them, and gives 0 where nothing is',
    run({ container }) {
      expectResult(container.unmapDma(0, 2 ** 31), 0, 'nothing');
      mapTwo(container);
      expectResult(container.unmapDma(8 * PAGE, 2 * PAGE), 0, 'between them');
      expectResult(container.unmapDma(3 * PAGE, 20 * PAGE), 6 * PAGE, 'both');
      expectMapped(container, false, false);
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
    },
  },
];

/**
 * The rules of the container that iommufd has in place of VFIO's (`vfio_compat.c`, `iopt_map_user_pages`,
 * `iopt_unmap_iova`), for containers as {@link TYPE1_CONTAINER_CHECKS} has them. Its user may lock less than the
 * process has memory.
 */
export const COMPAT_CONTAINER_CHECKS: readonly Type1ContainerCheck[] = [
  ...INVALID_MAPPINGS.map(([what, errno, address, iova, size, flags]): Type1ContainerCheck => ({
    name: `refuses ${what}`,
    run({ container }) {
      expectResult(container.mapDma(address, iova, size, flags), errno, what);
      expectResult(container.unmapDma(0, 2 ** 31), 0, 'nothing is mapped');
    },
  })),
  {
    name: 'gives EEXIST for every overlap of a mapping',
    run({ container }) {
      expectResult(container.mapDma(0, 4 * PAGE, 4 * PAGE, READ_WRITE), 0, 'the mapping');
      for (const [first, pages] of [
        [4, 4],
        [4, 1],
        [7, 1],
        [3, 2],
        [7, 2],
        [2, 10],
      ] as const)
        expectResult(container.mapDma(0, first * PAGE, pages * PAGE, READ_WRITE), EEXIST, `${pages} from ${first}`);
      expectResult(container.mapDma(0, 3 * PAGE, PAGE, READ_WRITE), 0, 'right before it');
      expectResult(container.mapDma(0, 8 * PAGE, PAGE, READ_WRITE), 0, 'right behind it');
    },
  },
  {
    name: 'gives EINVAL for reserved addresses, and for addresses beyond the last one',
    run({ container }) {
      const [before, behind, last] = rangesOf(container);
      for (const [what, iova, size] of [
        ['its first page', before.end + 1, PAGE],
        ['its last page', behind.start - PAGE, PAGE],
        ['a range over its start', before.end + 1 - PAGE, 2 * PAGE],
        ['the first page beyond', last.end + 1, PAGE],
      ] as const)
        expectResult(container.mapDma(0, iova, size, READ_WRITE), EINVAL, what);
      // Reserved addresses come before what is mapped there, unlike in a container of VFIO.
      expectResult(container.mapDma(0, before.end + 1 - PAGE, PAGE, READ_WRITE), 0, 'the last page before it');
      expectResult(container.mapDma(0, before.end + 1 - PAGE, 2 * PAGE, READ_WRITE), EINVAL, 'both at once');
    },
  },
  {
    name: 'says that any number of mappings can be made, however many there are',
    run({ container }) {
      const { available } = container.info();
      assert.equal(available, 2 ** 32 - 1);
      for (let i = 0; i < MANY; i++) expectResult(container.mapDma(0, i * 2 * PAGE, PAGE, READ_WRITE), 0, `${i}`);
      assert.equal(container.info().available, available);
    },
  },
  {
    name: 'has the extensions of type 1, but none to give a mapping new memory',
    run({ container }) {
      for (const extension of [VFIO_TYPE1_IOMMU, VFIO_TYPE1V2_IOMMU, VFIO_UNMAP_ALL])
        expectResult(container.checkExtension(extension), 1, `extension ${extension}`);
      for (const extension of [VFIO_UPDATE_VADDR, 9999])
        expectResult(container.checkExtension(extension), 0, `extension ${extension}`);
    },
  },
  {
    name: 'tells memory that is missing before memory over the limit',
    run(subject) {
      const { container, memorySize } = subject;
      fillLock(subject, lockLimit(subject));
      expectResult(container.mapDma(0, 0, PAGE, READ_WRITE), ENOMEM, 'one page more');
      expectResult(container.mapDma(memorySize - PAGE, 0, 2 * PAGE, READ_WRITE), EFAULT, 'one page that is not there');
    },
  },
  {
    name: 'counts a page once for each of its mappings, and gives it back',
    run(subject) {
      const { container } = subject;
      const half = Math.ceil(lockLimit(subject) / PAGE / 2) * PAGE;
      expectResult(container.mapDma(0, 2 ** 32, half, READ_WRITE), 0, 'once');
      expectResult(container.mapDma(0, 2 ** 33, half + PAGE, READ_WRITE), ENOMEM, 'twice');
      expectResult(container.unmapDma(2 ** 32, half), half, 'the first');
      fillLock(subject, lockLimit(subject));
    },
  },
  ...UNMAP_CHECKS,
];
