import { PAGE_SIZE } from '@virtio-platform/core/memory';
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
import {
  checkErrno,
  checkPageSize,
  IOVA_RANGE_BYTES,
  readIovaRanges,
  readWord,
  writeWord,
} from '../kernel/sized-structure.ts';
import { ProcessMemory } from './process-memory.ts';

/** Bytes of struct iommu_ioas_alloc: size, flags, the new id. */
const ALLOC_BYTES = 12;
/**
 * Size of struct iommu_ioas_iova_ranges, size of iommu_ioas_allow_iovas, which lacks the last word, and offsets in
 * both.
 */
const RANGES = { bytes: 32, allowBytes: 24, count: 8, address: 16, alignment: 24 } as const;
/** More ranges than an IOMMU has. Where the kernel has more than the buffer, it answers EMSGSIZE. */
const MOST_RANGES = 512;
/** Size of struct iommu_ioas_map, and offsets in it. */
const MAP = { bytes: 40, address: 16, length: 24, iova: 32 } as const;
/** Size of struct iommu_ioas_unmap, and offsets in it. */
const UNMAP = { bytes: 24, iova: 8, length: 16 } as const;

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
  readonly #map: NativeBuffer = new NativeBuffer(MAP.bytes);
  readonly #unmap: NativeBuffer = new NativeBuffer(UNMAP.bytes);

  private constructor(id: number, file: DeviceFile, memory: ProcessMemory) {
    this.id = id;
    this.#file = file;
    this.#memory = memory;
    this.#map.bytes.setUint32(0, MAP.bytes, true);
    this.#map.bytes.setUint32(8, id, true);
    this.#unmap.bytes.setUint32(0, UNMAP.bytes, true);
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
    const query = new NativeBuffer(RANGES.bytes);
    try {
      query.bytes.setUint32(0, RANGES.bytes, true);
      query.bytes.setUint32(4, this.id, true);
      query.bytes.setUint32(RANGES.count, MOST_RANGES, true);
      query.bytes.setBigUint64(RANGES.address, ranges.address, true);
      checkErrno(this.#file.control(IOMMU_IOAS_IOVA_RANGES, query), 'ask what the IOMMU maps');
      return {
        alignment: checkPageSize(Math.max(readWord(query.bytes, RANGES.alignment), PAGE_SIZE)),
        iovaRanges: readIovaRanges(ranges.bytes, query.bytes.getUint32(RANGES.count, true), 0),
        memoryLockLimit: memoryLockLimit(),
      };
    } finally {
      query.dispose();
      ranges.dispose();
    }
  }

  allowIovas(ranges: readonly IovaRange[]): number {
    const words = new NativeBuffer(Math.max(1, ranges.length) * IOVA_RANGE_BYTES);
    const request = new NativeBuffer(RANGES.allowBytes);
    try {
      ranges.forEach(({ start, end }, i) => {
        writeWord(words.bytes, i * IOVA_RANGE_BYTES, start);
        writeWord(words.bytes, i * IOVA_RANGE_BYTES + 8, end);
      });
      request.bytes.setUint32(0, RANGES.allowBytes, true);
      request.bytes.setUint32(4, this.id, true);
      request.bytes.setUint32(RANGES.count, ranges.length, true);
      request.bytes.setBigUint64(RANGES.address, words.address, true);
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
    writeWord(bytes, MAP.address, this.#memory.userAddress(address));
    writeWord(bytes, MAP.length, size);
    writeWord(bytes, MAP.iova, iova);
    const result = this.#file.control(IOMMU_IOAS_MAP, this.#map);
    if (result < 0) return result;
    const chosen = readWord(bytes, MAP.iova);
    if (chosen + size <= Number.MAX_SAFE_INTEGER) return chosen;
    // A number does not hold this address exactly, and the device must not be told another one.
    this.#unmapWords(bytes.getBigUint64(MAP.iova, true), size);
    return EOVERFLOW;
  }

  unmap(iova: number, size: number): number {
    const isAll = iova === 0 && size === IOAS_UNMAP_ALL;
    if (!isAll && !(ProcessMemory.isWord(iova) && ProcessMemory.isWord(size))) return EOVERFLOW;
    const { bytes } = this.#unmap;
    writeWord(bytes, UNMAP.iova, iova);
    if (isAll) bytes.setBigUint64(UNMAP.length, 2n ** 64n - 1n, true);
    else writeWord(bytes, UNMAP.length, size);
    const result = this.#file.control(IOMMU_IOAS_UNMAP, this.#unmap);
    return result < 0 ? result : readWord(bytes, UNMAP.length);
  }

  #unmapWords(iova: bigint, size: number): void {
    const { bytes } = this.#unmap;
    bytes.setBigUint64(UNMAP.iova, iova, true);
    writeWord(bytes, UNMAP.length, size);
    this.#file.control(IOMMU_IOAS_UNMAP, this.#unmap);
  }

  dispose(): void {
    this.#map.dispose();
    this.#unmap.dispose();
  }
}
