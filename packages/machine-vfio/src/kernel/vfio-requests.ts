/** The type of the requests of VFIO and iommufd: VFIO_TYPE and IOMMUFD_TYPE are both `;`. */
const TYPE = 0x3b;

/** A request of linux/vfio.h: `_IO(';', 100 + n)`, which encodes neither size nor direction. */
function vfio(n: number): number {
  return (TYPE << 8) | (100 + n);
}

/** A request of linux/iommufd.h: `_IO(';', 0x80 + n)`. */
function iommufd(n: number): number {
  return (TYPE << 8) | (0x80 + n);
}

/** The version of the kernel's interface that this package uses. */
export const VFIO_API_VERSION = 0;

/** Returns the version of the kernel's interface. */
export const VFIO_GET_API_VERSION: number = vfio(0);
/** Returns 1 where the kernel has an IOMMU model. The argument is its number, such as VFIO_TYPE1_IOMMU. */
export const VFIO_CHECK_EXTENSION: number = vfio(1);
/** Sets the IOMMU model of a container that has a group. */
export const VFIO_SET_IOMMU: number = vfio(2);
/** Reads the flags of a group, such as {@link VFIO_GROUP_FLAGS_VIABLE}. */
export const VFIO_GROUP_GET_STATUS: number = vfio(3);
/** Puts a group into a container. */
export const VFIO_GROUP_SET_CONTAINER: number = vfio(4);
/** Returns a descriptor of a device of the group. */
export const VFIO_GROUP_GET_DEVICE_FD: number = vfio(6);
/** Reads what a device is, and the numbers of its regions and interrupts. */
export const VFIO_DEVICE_GET_INFO: number = vfio(7);
/** Reads the size and the place of a region of a device. */
export const VFIO_DEVICE_GET_REGION_INFO: number = vfio(8);
/** Reads the number of vectors of an interrupt of a device. */
export const VFIO_DEVICE_GET_IRQ_INFO: number = vfio(9);
/** Connects interrupts of a device with event counters. */
export const VFIO_DEVICE_SET_IRQS: number = vfio(10);
/** Resets a device. */
export const VFIO_DEVICE_RESET: number = vfio(11);
/** Reads page sizes and address ranges of the IOMMU. */
export const VFIO_IOMMU_GET_INFO: number = vfio(12);
/** Maps memory of the process for the devices of a container. */
export const VFIO_IOMMU_MAP_DMA: number = vfio(13);
/** Removes such mappings. */
export const VFIO_IOMMU_UNMAP_DMA: number = vfio(14);
/** Binds a device to an iommufd. */
export const VFIO_DEVICE_BIND_IOMMUFD: number = vfio(18);
/** Attaches a bound device to an I/O address space. */
export const VFIO_DEVICE_ATTACH_IOMMUFD_PT: number = vfio(19);

/** Creates an I/O address space (IOAS) of an iommufd. */
export const IOMMU_IOAS_ALLOC: number = iommufd(1);
/** Reserves the addresses that automatic mapping may use. */
export const IOMMU_IOAS_ALLOW_IOVAS: number = iommufd(2);
/** Reads the address ranges of an IOAS. */
export const IOMMU_IOAS_IOVA_RANGES: number = iommufd(4);
/** Maps memory of the process in an IOAS. */
export const IOMMU_IOAS_MAP: number = iommufd(5);
/** Removes such mappings. */
export const IOMMU_IOAS_UNMAP: number = iommufd(6);

/** Group flag: all devices of the group are bound to VFIO, so the group can be used. */
export const VFIO_GROUP_FLAGS_VIABLE = 1;
/** Device flag: VFIO_DEVICE_RESET works. */
export const VFIO_DEVICE_FLAGS_RESET = 1;
/** Device flag: a PCI device. */
export const VFIO_DEVICE_FLAGS_PCI = 2;

/** The region of configuration space of a PCI device. Regions 0 to 5 are its base address registers. */
export const VFIO_PCI_CONFIG_REGION_INDEX = 7;
/** The MSI-X interrupts of a PCI device. */
export const VFIO_PCI_MSIX_IRQ_INDEX = 2;
