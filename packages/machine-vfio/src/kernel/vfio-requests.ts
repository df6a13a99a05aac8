/** The requests of linux/vfio.h that this package makes: `_IO(';', 100 + n)`, which encodes neither size nor direction. */
function request(n: number): number {
  return (0x3b << 8) | (100 + n);
}

export const VFIO_API_VERSION = 0;

export const VFIO_GET_API_VERSION: number = request(0);
export const VFIO_CHECK_EXTENSION: number = request(1);
export const VFIO_SET_IOMMU: number = request(2);
export const VFIO_GROUP_GET_STATUS: number = request(3);
export const VFIO_GROUP_SET_CONTAINER: number = request(4);
export const VFIO_GROUP_GET_DEVICE_FD: number = request(6);
export const VFIO_DEVICE_GET_INFO: number = request(7);
export const VFIO_DEVICE_GET_REGION_INFO: number = request(8);
export const VFIO_DEVICE_GET_IRQ_INFO: number = request(9);
export const VFIO_DEVICE_SET_IRQS: number = request(10);
export const VFIO_DEVICE_RESET: number = request(11);
export const VFIO_IOMMU_GET_INFO: number = request(12);
export const VFIO_IOMMU_MAP_DMA: number = request(13);
export const VFIO_IOMMU_UNMAP_DMA: number = request(14);
export const VFIO_DEVICE_BIND_IOMMUFD: number = request(18);
export const VFIO_DEVICE_ATTACH_IOMMUFD_PT: number = request(19);

/** Of VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU. */
export const VFIO_TYPE1_IOMMU = 1;
export const VFIO_TYPE1V2_IOMMU = 3;

export const VFIO_GROUP_FLAGS_VIABLE = 1;
export const VFIO_DEVICE_FLAGS_RESET = 1;
export const VFIO_DEVICE_FLAGS_PCI = 2;

/** Regions of a PCI device: 0 to 5 are its base address registers. */
export const VFIO_PCI_CONFIG_REGION_INDEX = 7;
/** Interrupts of a PCI device. */
export const VFIO_PCI_MSIX_IRQ_INDEX = 2;

/** The requests of linux/iommufd.h that this package makes: `_IO(';', 0x80 + n)`. */
function request(n: number): number {
  return (0x3b << 8) | (0x80 + n);
}

export const IOMMU_IOAS_ALLOC: number = request(1);
export const IOMMU_IOAS_ALLOW_IOVAS: number = request(2);
export const IOMMU_IOAS_IOVA_RANGES: number = request(4);
export const IOMMU_IOAS_MAP: number = request(5);
export const IOMMU_IOAS_UNMAP: number = request(6);
