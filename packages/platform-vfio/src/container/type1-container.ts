/** linux/vfio.h: the device may read, the device may write. */
export const VFIO_DMA_MAP_FLAG_READ = 1;
export const VFIO_DMA_MAP_FLAG_WRITE = 2;
/** linux/vfio.h: every mapping there is; address and size are 0 then. */
export const VFIO_DMA_UNMAP_FLAG_ALL = 2;

/** I/O virtual addresses from the first to the last, both included. Below 2^53. */
export interface IovaRange {
  readonly start: number;
  readonly end: number;
}

/** What VFIO_IOMMU_GET_INFO tells. */
export interface VfioIommuInfo {
  /** Smallest page of the IOMMU, in bytes. */
  readonly pageSize: number;
  /** I/O virtual addresses that can be used, without the reserved ones, in order. */
  readonly iovaRanges: readonly IovaRange[];
  /** How many more mappings can be made. */
  readonly available: number;
  /** The memory-lock limit in bytes, for messages; `undefined` where unlimited. */
  readonly memoryLockLimit: number | undefined;
}

/**
 * A VFIO container of type 1: the kernel's word on what an unprivileged process may map for its device. The process chooses the
 * addresses; each mapping pins and accounts memory. Returns 0, bytes, or a negated errno, exactly as the ioctls do (linux/vfio.h).
 */
export interface Type1Container {
  /** The two versions differ in what an unmapping takes with it. */
  readonly type: 'type1' | 'type1v2';
  info(): VfioIommuInfo;
  /** VFIO_IOMMU_MAP_DMA: maps `size` bytes of process memory (a byte offset into guest memory) at `iova`. */
  mapDma(address: number, iova: number, size: number, flags: number): number;
  /**
   * VFIO_IOMMU_UNMAP_DMA: returns the bytes unmapped, 0 when nothing was there. Version 2 unmaps whole mappings and answers a
   * range that bisects one with EINVAL. Version 1 unmaps each mapping whose first address is in the range, also what of it lies
   * behind; a range that begins inside a mapping unmaps nothing, and that is no error.
   */
  unmapDma(iova: number, size: number, flags?: number): number;
}
