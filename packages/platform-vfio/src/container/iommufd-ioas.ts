import type { IovaRange } from './type1-container.ts';

/** linux/iommufd.h: flags of IOMMU_IOAS_MAP. */
export const IOMMU_IOAS_MAP_FIXED_IOVA = 1;
export const IOMMU_IOAS_MAP_WRITEABLE = 2;
export const IOMMU_IOAS_MAP_READABLE = 4;

/** The length of IOMMU_IOAS_UNMAP at address 0 that means everything. It stands for 2^64 - 1, which a number does not hold. */
export const IOAS_UNMAP_ALL: number = 2 ** 64;

/** What IOMMU_IOAS_IOVA_RANGES tells. */
export interface IoasInfo {
  /** Addresses and lengths are multiples of this. */
  readonly alignment: number;
  /** I/O virtual addresses that can be used, without the reserved ones, in order. */
  readonly iovaRanges: readonly IovaRange[];
  /** The memory-lock limit in bytes, for messages; `undefined` where unlimited. */
  readonly memoryLockLimit: number | undefined;
}

/**
 * An I/O address space of /dev/iommu, which a device is attached to instead of a container. The kernel can choose the addresses,
 * and accounts pinned memory to the user, not to the process. Returns 0, an address, bytes, or a negated errno (linux/iommufd.h).
 */
export interface IommufdIoas {
  readonly type: 'iommufd';
  info(): IoasInfo;
  /** IOMMU_IOAS_ALLOW_IOVAS: where the kernel may choose addresses, instead of everywhere. */
  allowIovas(ranges: readonly IovaRange[]): number;
  /**
   * IOMMU_IOAS_MAP: maps `size` bytes of process memory (a byte offset into guest memory) and returns where: at `iova` with
   * FIXED_IOVA, else at an address that the kernel chooses, never 0. It is aligned to a page; Linux with transparent huge pages
   * aligns it as the memory is in the process, up to the size and to 2 MiB.
   */
  map(address: number, iova: number, size: number, flags: number): number;
  /** IOMMU_IOAS_UNMAP: whole mappings only. Returns the bytes unmapped; nothing there is ENOENT. */
  unmap(iova: number, size: number): number;
}
