/**
 * A VFIO container of type no-IOMMU: it hands out the device and maps nothing. Results are 0 or a negated errno (linux/vfio.h,
 * vfio/container.c).
 */
export interface NoiommuContainer {
  readonly type: 'noiommu';
  /** VFIO_GROUP_SET_CONTAINER and VFIO_SET_IOMMU of /dev/vfio/noiommu-N. EPERM where the kernel does not give the device away. */
  attach(): number;
  /** VFIO_IOMMU_MAP_DMA: ENOTTY, always. The process finds out physical addresses by itself. */
  mapDma(address: number, iova: number, size: number, flags: number): number;
  /** VFIO_IOMMU_UNMAP_DMA: ENOTTY, always. */
  unmapDma(iova: number, size: number, flags?: number): number;
}
