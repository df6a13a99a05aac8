import { lockedMemory, memoryLockLimit, NativeBuffer, type DeviceFile } from '@virtio-platform/host';
import { EINVAL, ENOTTY, type Type1Container, type VfioIommuInfo } from '@virtio-platform/platform-vfio';
import {
  checkPageSize,
  findCapability,
  kernelRefusal,
  readIovaRanges,
  readStructure,
  readWord,
  writeWord,
} from '../kernel/sized-structure.ts';
import {
  VFIO_CHECK_EXTENSION,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
} from '../kernel/vfio-requests.ts';
import { ProcessMemory } from './process-memory.ts';

/** Size of struct vfio_iommu_type1_info, offsets and flags in it, and the ids of its capabilities. */
const INFO = {
  bytes: 24,
  pageSizeBits: 8,
  firstCapability: 16,
  hasPageSizes: 1,
  hasCapabilities: 2,
  iovaRanges: 1,
  dmaAvailable: 3,
} as const;
/** The kernel's default, for kernels before 5.10, which do not report the limit. */
const DEFAULT_ENTRY_LIMIT = 65535;

/** Size of struct vfio_iommu_type1_dma_map, and offsets in it. */
const MAP = { bytes: 32, address: 8, iova: 16, size: 24 } as const;
/** Size of struct vfio_iommu_type1_dma_unmap, and offsets in it. */
const UNMAP = { bytes: 24, iova: 8, size: 16 } as const;

const ASKING = 'ask what the IOMMU maps';

/**
 * Page size, address ranges and the limit of mappings from a struct vfio_iommu_type1_info. Leaves out the page at
 * address 0: QEMU treats ring address 0 as unset, and Linux itself gives devices no such address. Throws
 * {@link CodedError} where the kernel does not report the address ranges of the IOMMU (before 5.4), or an impossible
 * page size.
 */
export function parseType1Info(info: DataView): Pick<VfioIommuInfo, 'pageSize' | 'iovaRanges' | 'available'> {
  const flags = info.getUint32(4, true);
  const first = (flags & INFO.hasCapabilities) === 0 ? 0 : info.getUint32(INFO.firstCapability, true);
  const ranges = findCapability(info, first, INFO.iovaRanges, 8);
  if (ranges === undefined || (flags & INFO.hasPageSizes) === 0)
    throw kernelRefusal(ASKING, ENOTTY, 'use Linux 5.4 or later');
  const pageSize = checkPageSize(lowestBit(info.getUint32(INFO.pageSizeBits, true)));
  const available = findCapability(info, first, INFO.dmaAvailable, 4);
  return {
    pageSize,
    iovaRanges: readIovaRanges(ranges, ranges.getUint32(0, true), 8)
      .map(({ start, end }) => ({ start: Math.max(start, pageSize), end }))
      .filter(({ start, end }) => start < end),
    available: available === undefined ? DEFAULT_ENTRY_LIMIT : available.getUint32(0, true),
  };
}

/**
 * A VFIO container of the kernel, with the IOMMU model type 1: VFIO's own, or iommufd's in its place. The caller keeps
 * and closes the file.
 */
export class KernelType1Container implements Type1Container {
  readonly type: Type1Container['type'];
  readonly #file: DeviceFile;
  readonly #memory: ProcessMemory;
  readonly #map: NativeBuffer = new NativeBuffer(MAP.bytes);
  readonly #unmap: NativeBuffer = new NativeBuffer(UNMAP.bytes);

  constructor(type: Type1Container['type'], file: DeviceFile, memory: ProcessMemory) {
    this.type = type;
    this.#file = file;
    this.#memory = memory;
    this.#map.bytes.setUint32(0, MAP.bytes, true);
    this.#unmap.bytes.setUint32(0, UNMAP.bytes, true);
  }

  /** Reads page size, address ranges and limits. Throws {@link CodedError}, as {@link parseType1Info} does. */
  info(): VfioIommuInfo {
    const info = readStructure(this.#file, VFIO_IOMMU_GET_INFO, { bytes: INFO.bytes, doing: ASKING });
    return { ...parseType1Info(info), memoryLockLimit: memoryLockLimit(), lockedBytes: lockedMemory() };
  }

  checkExtension(extension: number): number {
    return this.#file.control(VFIO_CHECK_EXTENSION, extension);
  }

  /** This program goes on, and has its memory at other addresses: what exec comes to for the container. */
  exec(): void {
    this.#memory.relocate();
  }

  mapDma(address: number, iova: number, size: number, flags: number): number {
    if (!ProcessMemory.isRange(address, size) || !ProcessMemory.isRange(iova, size)) return EINVAL;
    const { bytes } = this.#map;
    bytes.setUint32(4, flags, true);
    writeWord(bytes, MAP.address, this.#memory.userAddress(address));
    writeWord(bytes, MAP.iova, iova);
    writeWord(bytes, MAP.size, size);
    return this.#file.control(VFIO_IOMMU_MAP_DMA, this.#map);
  }

  unmapDma(iova: number, size: number, flags = 0): number {
    if (!ProcessMemory.isRange(iova, size)) return EINVAL;
    const { bytes } = this.#unmap;
    bytes.setUint32(4, flags, true);
    writeWord(bytes, UNMAP.iova, iova);
    writeWord(bytes, UNMAP.size, size);
    const result = this.#file.control(VFIO_IOMMU_UNMAP_DMA, this.#unmap);
    return result < 0 ? result : readWord(bytes, UNMAP.size);
  }

  /** Frees the structures. The mappings end with the file. */
  dispose(): void {
    this.#map.dispose();
    this.#unmap.dispose();
  }
}

/** The smallest of the page sizes in a mask: each size is its own bit. */
function lowestBit(bits: number): number {
  return (bits & -bits) >>> 0;
}
