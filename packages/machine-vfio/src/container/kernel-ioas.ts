import { memoryLockLimit, NativeBuffer, type DeviceFile } from '@virtio-platform/host';
import {
  EOVERFLOW,
  IOAS_UNMAP_ALL,
  type IoasInfo,
  type IommufdIoas,
  type IovaRange,
} from '@virtio-platform/platform-vfio';
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
} from '../kernel/vfio-requests.ts';
import { checkErrno, IOVA_RANGE_BYTES, readIovaRanges, readWord, writeWord } from '../kernel/sized-structure.ts';
import { ProcessMemory } from './process-memory.ts';

/** Bytes of struct iommu_ioas_alloc: size, flags, the new id. */
const ALLOC_BYTES = 12;
/**
 * Size of struct iommu_ioas_iova_ranges and of iommu_ioas_allow_iovas, which lacks only the last word, and offsets in both.
 */
const RANGES_BYTES = 32;
const ALLOW_BYTES = 24;
const RANGES_COUNT = 8;
const RANGES_ADDRESS = 16;
const RANGES_ALIGNMENT = 24;
/** More ranges than an IOMMU has. Where the kernel has more than the buffer, it answers EMSGSIZE. */
const MOST_RANGES = 512;
/** Size of struct iommu_ioas_map, and offsets in it. */
const MAP_BYTES = 40;
const MAP_ADDRESS = 16;
const MAP_LENGTH = 24;
const MAP_IOVA = 32;
/** Size of struct iommu_ioas_unmap, and offsets in it. */
const UNMAP_BYTES = 24;
const UNMAP_IOVA = 8;
const UNMAP_LENGTH = 16;

/**
 * An I/O address space (IOAS) of the kernel, made through /dev/iommu. It ends with the file, which the caller keeps and
 * closes.
 */
export class KernelIoas implements IommufdIoas {
  readonly type = 'iommufd';
  /** The number that a device is attached to. */
  readonly id: number;
  readonly #file: DeviceFile;
  readonly #memory: ProcessMemory;
  readonly #map: NativeBuffer = new NativeBuffer(MAP_BYTES);
  readonly #unmap: NativeBuffer = new NativeBuffer(UNMAP_BYTES);

  private constructor(id: number, file: DeviceFile, memory: ProcessMemory) {
    this.id = id;
    this.#file = file;
    this.#memory = memory;
    this.#map.bytes.setUint32(0, MAP_BYTES, true);
    this.#map.bytes.setUint32(8, id, true);
    this.#unmap.bytes.setUint32(0, UNMAP_BYTES, true);
    this.#unmap.bytes.setUint32(4, id, true);
  }

  /** Creates an address space without mappings. Throws {@link CodedError}. */
  static create(file: DeviceFile, memory: ProcessMemory): KernelIoas {
    const alloc = new NativeBuffer(ALLOC_BYTES);
    try {
      alloc.bytes.setUint32(0, ALLOC_BYTES, true);
      checkErrno(file.control(IOMMU_IOAS_ALLOC, alloc), 'make an I/O address space');
      return new KernelIoas(alloc.bytes.getUint32(8, true), file, memory);
    } finally {
      alloc.dispose();
    }
  }

  /** Reads the alignment and the address ranges of the IOMMU. Throws {@link CodedError}. */
  info(): IoasInfo {
    const ranges = new NativeBuffer(MOST_RANGES * IOVA_RANGE_BYTES);
    const query = new NativeBuffer(RANGES_BYTES);
    try {
      query.bytes.setUint32(0, RANGES_BYTES, true);
      query.bytes.setUint32(4, this.id, true);
      query.bytes.setUint32(RANGES_COUNT, MOST_RANGES, true);
      query.bytes.setBigUint64(RANGES_ADDRESS, ranges.address, true);
      checkErrno(this.#file.control(IOMMU_IOAS_IOVA_RANGES, query), 'ask what the IOMMU maps');
      return {
        alignment: readWord(query.bytes, RANGES_ALIGNMENT),
        iovaRanges: readIovaRanges(ranges.bytes, query.bytes.getUint32(RANGES_COUNT, true), 0),
        memoryLockLimit: memoryLockLimit(),
      };
    } finally {
      query.dispose();
      ranges.dispose();
    }
  }

  allowIovas(ranges: readonly IovaRange[]): number {
    const words = new NativeBuffer(Math.max(1, ranges.length) * IOVA_RANGE_BYTES);
    const request = new NativeBuffer(ALLOW_BYTES);
    try {
      ranges.forEach(({ start, end }, i) => {
        writeWord(words.bytes, i * IOVA_RANGE_BYTES, start);
        writeWord(words.bytes, i * IOVA_RANGE_BYTES + 8, end);
      });
      request.bytes.setUint32(0, ALLOW_BYTES, true);
      request.bytes.setUint32(4, this.id, true);
      request.bytes.setUint32(RANGES_COUNT, ranges.length, true);
      request.bytes.setBigUint64(RANGES_ADDRESS, words.address, true);
      return this.#file.control(IOMMU_IOAS_ALLOW_IOVAS, request);
    } finally {
      request.dispose();
      words.dispose();
    }
  }

  map(address: number, iova: number, size: number, flags: number): number {
    // The kernel gets the process address of the memory, so it cannot detect that the guest address wraps.
    if (!ProcessMemory.isRange(address, size) || !ProcessMemory.isWord(iova)) return EOVERFLOW;
    const { bytes } = this.#map;
    bytes.setUint32(4, flags, true);
    writeWord(bytes, MAP_ADDRESS, this.#memory.userAddress(address));
    writeWord(bytes, MAP_LENGTH, size);
    writeWord(bytes, MAP_IOVA, iova);
    const result = this.#file.control(IOMMU_IOAS_MAP, this.#map);
    return result < 0 ? result : readWord(bytes, MAP_IOVA);
  }

  unmap(iova: number, size: number): number {
    const isAll = iova === 0 && size === IOAS_UNMAP_ALL;
    if (!isAll && !(ProcessMemory.isWord(iova) && ProcessMemory.isWord(size))) return EOVERFLOW;
    const { bytes } = this.#unmap;
    writeWord(bytes, UNMAP_IOVA, iova);
    if (isAll) bytes.setBigUint64(UNMAP_LENGTH, 2n ** 64n - 1n, true);
    else writeWord(bytes, UNMAP_LENGTH, size);
    const result = this.#file.control(IOMMU_IOAS_UNMAP, this.#unmap);
    return result < 0 ? result : readWord(bytes, UNMAP_LENGTH);
  }

  dispose(): void {
    this.#map.dispose();
    this.#unmap.dispose();
  }
}
