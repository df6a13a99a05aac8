/** The requests of linux/iommufd.h that this package makes: `_IO(';', 0x80 + n)`. */
function request(n: number): number {
  return (0x3b << 8) | (0x80 + n);
}

export const IOMMU_IOAS_ALLOC: number = request(1);
export const IOMMU_IOAS_ALLOW_IOVAS: number = request(2);
export const IOMMU_IOAS_IOVA_RANGES: number = request(4);
export const IOMMU_IOAS_MAP: number = request(5);
export const IOMMU_IOAS_UNMAP: number = request(6);
