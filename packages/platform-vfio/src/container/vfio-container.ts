import { CodedError, type FacilityToken } from '@virtio-platform/core';

/** VFIO_DMA_MAP_FLAG_READ of linux/vfio.h: the device may read. */
export const VFIO_DMA_MAP_FLAG_READ = 1;
/** VFIO_DMA_MAP_FLAG_WRITE of linux/vfio.h: the device may write. */
export const VFIO_DMA_MAP_FLAG_WRITE = 2;
/**
 * VFIO_DMA_MAP_FLAG_VADDR of linux/vfio.h: gives a mapping whose memory was invalidated the memory at `address`.
 * Neither read nor write may be set beside it.
 */
export const VFIO_DMA_MAP_FLAG_VADDR = 4;
/** VFIO_DMA_UNMAP_FLAG_ALL of linux/vfio.h: unmaps every mapping; address and size must be 0. */
export const VFIO_DMA_UNMAP_FLAG_ALL = 2;
/**
 * VFIO_DMA_UNMAP_FLAG_VADDR of linux/vfio.h: unmaps nothing, and invalidates the addresses that the process has for the
 * memory. Devices go on to reach it.
 */
export const VFIO_DMA_UNMAP_FLAG_VADDR = 4;

/** VFIO_TYPE1_IOMMU of linux/vfio.h, for {@link Type1Container.checkExtension}. */
export const VFIO_TYPE1_IOMMU = 1;
/** VFIO_TYPE1v2_IOMMU of linux/vfio.h, for {@link Type1Container.checkExtension}. */
export const VFIO_TYPE1V2_IOMMU = 3;
/** VFIO_UNMAP_ALL of linux/vfio.h, an extension: {@link VFIO_DMA_UNMAP_FLAG_ALL} is known. */
export const VFIO_UNMAP_ALL = 9;
/** VFIO_UPDATE_VADDR of linux/vfio.h, an extension: {@link VFIO_DMA_UNMAP_FLAG_VADDR} is known. */
export const VFIO_UPDATE_VADDR = 10;

/** IOMMU_IOAS_MAP_FIXED_IOVA of linux/iommufd.h: map at the given I/O virtual address. */
export const IOMMU_IOAS_MAP_FIXED_IOVA = 1;
/** IOMMU_IOAS_MAP_WRITEABLE of linux/iommufd.h: the device may write. */
export const IOMMU_IOAS_MAP_WRITEABLE = 2;
/** IOMMU_IOAS_MAP_READABLE of linux/iommufd.h: the device may read. */
export const IOMMU_IOAS_MAP_READABLE = 4;

/**
 * The length that makes IOMMU_IOAS_UNMAP at address 0 unmap everything. It stands for 2^64 - 1, which a number cannot
 * hold exactly.
 */
export const IOAS_UNMAP_ALL: number = 2 ** 64;

/** Bytes that one TCE of the default window translates. */
export const DEFAULT_WINDOW_PAGE_SIZE = 4096;

/** I/O virtual addresses from `start` to `end`, both included. Both are below 2^53. */
export interface IovaRange {
  readonly start: number;
  readonly end: number;
}

/** What another device of the same process has mapped, or was refused. */
export interface OtherDeviceState {
  readonly name: string;
  readonly mappedBytes: number;
  /** The negated errno with which its mapping was refused, or 0. */
  readonly errno: number;
}

/** The result of VFIO_IOMMU_GET_INFO. */
export interface VfioIommuInfo {
  /** Smallest page of the IOMMU, in bytes. */
  readonly pageSize: number;
  /** I/O virtual addresses that can be mapped, without the reserved ranges, in ascending order. */
  readonly iovaRanges: readonly IovaRange[];
  /** How many more mappings can be made. */
  readonly available: number;
  /** The memory-lock limit in bytes, for messages; `undefined` where there is no limit. */
  readonly memoryLockLimit: number | undefined;
  /** Bytes that count against that limit now, of this process and of others; `undefined` where this is not known. */
  readonly lockedBytes?: number | undefined;
  /** The ranges that cannot be mapped, for messages; `undefined` where this is not known. */
  readonly reservedRanges?: readonly IovaRange[] | undefined;
  /** Of those the ranges in which the write of a device is an interrupt; `undefined` where this is not known. */
  readonly interruptRanges?: readonly IovaRange[] | undefined;
}

/**
 * The kinds of {@link Type1Container}: versions 1 and 2 of VFIO's own, and of the one that iommufd has in its place,
 * where /dev/iommu is opened as if it were /dev/vfio/vfio.
 */
export const TYPE1_CONTAINER_TYPES = ['type1', 'type1v2', 'iommufd-type1', 'iommufd-type1v2'] as const;

/**
 * A VFIO container of type 1: through it an unprivileged process maps memory for its devices. The process chooses the
 * I/O virtual addresses; each mapping pins memory and counts against the memory-lock limit, once for all devices of the
 * container. Results are 0, bytes, or a negated errno, exactly as the ioctls return them (linux/vfio.h).
 */
export interface Type1Container {
  readonly type: (typeof TYPE1_CONTAINER_TYPES)[number];
  info(): VfioIommuInfo;
  /** VFIO_CHECK_EXTENSION: 1 where the container has it, 0 otherwise; such as {@link VFIO_UPDATE_VADDR}. */
  checkExtension(extension: number): number;
  /**
   * VFIO_IOMMU_MAP_DMA: maps `size` bytes of process memory (`address`: a byte offset into guest memory) at `iova`.
   * With {@link VFIO_DMA_MAP_FLAG_VADDR} it maps nothing: a mapping of exactly this range, whose memory was
   * invalidated, gets this memory. ENOENT where none is, EINVAL where it is not exactly this one or still valid, ENOMEM
   * where it is more than the process that calls may lock.
   */
  mapDma(address: number, iova: number, size: number, flags: number): number;
  /**
   * VFIO_IOMMU_UNMAP_DMA: returns the bytes unmapped, 0 when no mapping was there. What a range unmaps that bisects a
   * mapping depends on the type:
   * - `type1v2`: nothing, EINVAL.
   * - `type1`: each mapping whose first address is in the range, including the part behind the range. A range that
   *   begins inside a mapping unmaps nothing and still succeeds.
   * - `iommufd-type1v2`: what lies before the bisected mapping, ENOENT.
   * - `iommufd-type1`: exactly the range. The rest of the mapping stays.
   *
   * With {@link VFIO_DMA_UNMAP_FLAG_VADDR} it invalidates the memory of these mappings, and returns their bytes;
   * EINVAL, and all of them are valid again, where one of them was invalid.
   */
  unmapDma(iova: number, size: number, flags?: number): number;
  /**
   * Has the process call exec: another one goes on with the container and the same memory, at other addresses of its
   * own. A container of a running program maps the memory a second time instead. Absent where neither is possible.
   */
  exec?(): void;
  /** What other devices of the process have mapped, for reports; absent where that is not known. */
  readonly otherDevices?: readonly OtherDeviceState[];
}

/** The result of VFIO_IOMMU_SPAPR_TCE_GET_INFO. */
export interface SpaprInfo {
  /** The 32-bit window at bus address 0, in pages of 4 KiB: its size in bytes. */
  readonly defaultWindowSize: number;
  /** Version 2: how many levels the table of a created window can have. */
  readonly maxLevels: number;
  /** Version 2: page sizes in bytes that one TCE of a created window can translate. */
  readonly pageSizes: readonly number[];
  /** How many windows can exist at the same time, the default one included. */
  readonly maxWindows: number;
  /** The memory-lock limit in bytes, for messages; `undefined` where there is no limit. */
  readonly memoryLockLimit: number | undefined;
  /** Bytes that count against that limit now, of this process and of others; `undefined` where this is not known. */
  readonly lockedBytes?: number | undefined;
}

/**
 * A VFIO container of type sPAPR TCE, on a POWER host: TCE tables translate what the device accesses, one table for
 * each window of bus addresses. With version 1 the process first enables the container, which accounts for the whole
 * window. With version 2 the process first registers memory, which pins and accounts it once, and can create windows.
 * An operation of the other version returns ENOTTY. Results are 0, a bus address, or a negated errno, as the ioctls
 * return them (linux/vfio.h; vfio_iommu_spapr_tce.c). A bus address is a multiple of its page, so a number holds it
 * exactly.
 */
export interface SpaprContainer {
  readonly type: 'spapr-v1' | 'spapr-v2';
  info(): SpaprInfo;
  /** VFIO_IOMMU_ENABLE, version 1. */
  enable(): number;
  /** VFIO_IOMMU_DISABLE, version 1. Mappings stay in place. */
  disable(): number;
  /**
   * VFIO_IOMMU_SPAPR_REGISTER_MEMORY, version 2: pins and accounts process memory, which can be mapped from then on.
   */
  registerMemory(address: number, size: number): number;
  /** VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, version 2: takes exactly one range that was registered. */
  unregisterMemory(address: number, size: number): number;
  /**
   * VFIO_IOMMU_SPAPR_TCE_CREATE, version 2. `size` in bytes, a power of two. Returns the window's first bus address,
   * which the kernel chooses.
   */
  createWindow(pageShift: number, size: number, levels: number): number;
  /** VFIO_IOMMU_SPAPR_TCE_REMOVE, version 2: removes the window that starts here, and everything mapped in it. */
  removeWindow(start: number): number;
  /** VFIO_IOMMU_MAP_DMA. Replaces existing entries: a TCE table has no notion of mappings, so there is no EEXIST. */
  mapDma(address: number, iova: number, size: number, flags: number): number;
  /** VFIO_IOMMU_UNMAP_DMA. Returns 0 also where nothing was mapped. */
  unmapDma(iova: number, size: number): number;
}

/** The result of IOMMU_IOAS_IOVA_RANGES. */
export interface IoasInfo {
  /** Addresses and lengths are multiples of this. */
  readonly alignment: number;
  /** I/O virtual addresses that can be mapped, without the reserved ranges, in ascending order. */
  readonly iovaRanges: readonly IovaRange[];
  /** The memory-lock limit in bytes, for messages; `undefined` where there is no limit. */
  readonly memoryLockLimit: number | undefined;
  /** Bytes that count against that limit now, of this process and of others; `undefined` where this is not known. */
  readonly lockedBytes?: number | undefined;
  /** The ranges that cannot be mapped, for messages; `undefined` where this is not known. */
  readonly reservedRanges?: readonly IovaRange[] | undefined;
  /** Of those the ranges in which the write of a device is an interrupt; `undefined` where this is not known. */
  readonly interruptRanges?: readonly IovaRange[] | undefined;
}

/**
 * An I/O address space of /dev/iommu, to which a device is attached instead of to a container. The kernel can choose
 * the addresses, and accounts pinned memory to the user, not to the process. Results are 0, an address, bytes, or a
 * negated errno (linux/iommufd.h).
 */
export interface IommufdIoas {
  readonly type: 'iommufd';
  info(): IoasInfo;
  /** IOMMU_IOAS_ALLOW_IOVAS: limits the addresses that the kernel may choose to these ranges. */
  allowIovas(ranges: readonly IovaRange[]): number;
  /**
   * IOMMU_IOAS_MAP: maps `size` bytes of process memory (`address`: a byte offset into guest memory) and returns the
   * I/O virtual address: `iova` with FIXED_IOVA, else one that the kernel chooses, never 0. A chosen address is aligned
   * to a page; Linux with transparent huge pages aligns it as the memory is aligned in the process, up to the size and
   * to 2 MiB.
   */
  map(address: number, iova: number, size: number, flags: number): number;
  /** IOMMU_IOAS_UNMAP: unmaps whole mappings only. Returns the bytes unmapped, or ENOENT where nothing is mapped. */
  unmap(iova: number, size: number): number;
  /** What other devices of the user have mapped, for reports; absent where that is not known. */
  readonly otherDevices?: readonly OtherDeviceState[];
}

/**
 * A VFIO container of type no-IOMMU: it hands out the device and cannot map. Results are 0 or a negated errno
 * (linux/vfio.h, vfio/container.c).
 */
export interface NoiommuContainer {
  readonly type: 'noiommu';
  /**
   * VFIO_GROUP_SET_CONTAINER and VFIO_SET_IOMMU of /dev/vfio/noiommu-N. EPERM where the kernel refuses to hand the
   * device out.
   */
  attach(): number;
  /** VFIO_IOMMU_MAP_DMA: ENOTTY, always. The process finds physical addresses by itself. */
  mapDma(address: number, iova: number, size: number, flags: number): number;
  /** VFIO_IOMMU_UNMAP_DMA: ENOTTY, always. */
  unmapDma(iova: number, size: number, flags?: number): number;
}

/**
 * The kernel object through which a process gets its device, discriminated by `type`. A machine provides one; the
 * profile asks for one.
 */
export type VfioContainer = Type1Container | SpaprContainer | IommufdIoas | NoiommuContainer;

/** Every value of `platform.container`, in the order in which Linux introduced them. */
export const CONTAINER_TYPES = [
  'type1',
  'spapr-v1',
  'type1v2',
  'noiommu',
  'spapr-v2',
  'iommufd',
  'iommufd-type1',
  'iommufd-type1v2',
] as const;
/** One of {@link CONTAINER_TYPES}. */
export type ContainerType = (typeof CONTAINER_TYPES)[number];

/** The facility that this platform needs of a machine: a {@link VfioContainer}. */
export const VFIO_CONTAINER: FacilityToken = Symbol.for('@virtio-platform/platform-vfio:VfioContainer');

/**
 * The error for a machine whose container is not of the type that the profile asks for, as VFIO_CHECK_EXTENSION would
 * find.
 */
export function wrongContainer(container: VfioContainer, type: ContainerType): CodedError {
  return new CodedError('ERR_PLUGIN_FACILITY', `this machine's container is ${container.type}, not ${type}`, {
    hint: `set platform.container: ${container.type}, or use the simulated machine, which has all of them`,
  });
}
