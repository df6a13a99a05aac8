import { PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  EEXIST,
  EFAULT,
  EINVAL,
  ENOSPC,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_TYPE1V2_IOMMU,
  VFIO_UNMAP_ALL,
  type Type1Container,
  type VfioIommuInfo,
} from '@virtio-platform/platform-vfio';
import type { MemoryRegions } from './memory-regions.ts';

/** A 48-bit IOMMU. Nothing of it is reserved: the back-end has no interrupt window in its address space. */
const LAST_IOVA = 2 ** 48 - 1;
const EVERYTHING = 2n ** 64n;

/**
 * A VFIO container of type 1, version 2, whose mappings are regions: an I/O virtual address is the guest address of
 * one. Checks in the order of Linux `vfio_dma_do_map`. Permissions are checked but a region has none: the back-end can
 * write what was mapped for reading.
 */
export class RegionVfioContainer implements Type1Container {
  readonly type = 'type1v2';
  readonly #memorySize: number;
  readonly #regions: MemoryRegions;

  constructor(memorySize: number, regions: MemoryRegions) {
    this.#memorySize = memorySize;
    this.#regions = regions;
  }

  info(): VfioIommuInfo {
    return {
      pageSize: PAGE_SIZE,
      iovaRanges: [{ start: 0, end: LAST_IOVA }],
      available: this.#regions.available,
      memoryLockLimit: undefined,
    };
  }

  /** The memory of a region cannot be given other addresses. */
  checkExtension(extension: number): number {
    return extension === VFIO_TYPE1V2_IOMMU || extension === VFIO_UNMAP_ALL ? 1 : 0;
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_LOST` where no errno tells it. */
  mapDma(address: number, iova: number, size: number, flags: number): number {
    const isKnown = (flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)) === 0;
    if (!isKnown || flags === 0 || !isPages(iova, size) || !isPages(address, size)) return EINVAL;
    const start = BigInt(iova);
    if (this.#regions.overlapping(start, start + BigInt(size)).length > 0) return EEXIST;
    if (this.#regions.available === 0) return ENOSPC;
    if (iova + size - 1 > LAST_IOVA) return EINVAL;
    if (address + size > this.#memorySize) return EFAULT;
    return this.#regions.add({ guestAddress: start, offset: address, size }) ? 0 : ENOSPC;
  }

  unmapDma(iova: number, size: number, flags = 0): number {
    if ((flags & ~VFIO_DMA_UNMAP_FLAG_ALL) !== 0) return EINVAL;
    const isAll = flags === VFIO_DMA_UNMAP_FLAG_ALL;
    if (isAll ? iova !== 0 || size !== 0 : !isPages(iova, size)) return EINVAL;
    const start = BigInt(iova);
    const end = isAll ? EVERYTHING : start + BigInt(size);
    const mappings = this.#regions.overlapping(start, end);
    const isBisected = mappings.some(
      (mapping) => mapping.guestAddress < start || mapping.guestAddress + BigInt(mapping.size) > end,
    );
    if (isBisected) return EINVAL;
    let unmapped = 0;
    for (const mapping of mappings) {
      this.#regions.remove(mapping);
      unmapped += mapping.size;
    }
    return unmapped;
  }
}

/** Whether a range is one or more whole pages that do not wrap. */
function isPages(start: number, size: number): boolean {
  const isExact = Number.isSafeInteger(start) && Number.isSafeInteger(size) && Number.isSafeInteger(start + size);
  return isExact && start >= 0 && size > 0 && start % PAGE_SIZE === 0 && size % PAGE_SIZE === 0;
}
