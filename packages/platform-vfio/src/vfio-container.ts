import type { FacilityToken } from '@virtio-platform/core';

/** Errors as the kernel gives them, negated (asm-generic/errno-base.h). */
export const EPERM = -1;
export const ENOMEM = -12;
export const EFAULT = -14;
export const EEXIST = -17;
export const EINVAL = -22;
export const ENOSPC = -28;

/** linux/vfio.h: the device may read, the device may write. */
export const VFIO_DMA_MAP_FLAG_READ = 1;
export const VFIO_DMA_MAP_FLAG_WRITE = 2;

/** What VFIO_IOMMU_GET_INFO tells. */
export interface VfioIommuInfo {
  /** Smallest page of the IOMMU, in bytes. */
  readonly pageSize: number;
  /** I/O virtual addresses that can be used: first and last of each range, without the reserved ones. Below 2^53. */
  readonly iovaRanges: readonly { readonly start: number; readonly end: number }[];
  /** How many more mappings can be made. */
  readonly available: number;
  /** The memory-lock limit in bytes, for messages; `undefined` where unlimited. */
  readonly memoryLockLimit: number | undefined;
}

/**
 * A VFIO container of type 1 version 2: the kernel's word on what an unprivileged process may map for its device. Pins and
 * accounts memory. Returns 0, bytes, or a negated errno, exactly as the ioctls do (linux/vfio.h).
 */
export interface VfioContainer {
  info(): VfioIommuInfo;
  /** VFIO_IOMMU_MAP_DMA: maps `size` bytes of process memory (a byte offset into guest memory) at `iova`. */
  mapDma(address: number, iova: number, size: number, flags: number): number;
  /** VFIO_IOMMU_UNMAP_DMA: returns the bytes unmapped, 0 when nothing was there. A range that bisects a mapping is EINVAL. */
  unmapDma(iova: number, size: number): number;
}

export const VFIO_CONTAINER: FacilityToken = Symbol.for('@virtio-platform/platform-vfio:VfioContainer');
