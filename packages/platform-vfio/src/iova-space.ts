import { DmaError, RangeAllocator } from '@virtio-platform/core';
import { errnoName } from './errno-name.ts';
import { ENOMEM, ENOSPC, type VfioContainer, type VfioIommuInfo } from './vfio-container.ts';

/**
 * The I/O virtual addresses of one container, which all queues of the process share. Chooses addresses (type 1 leaves that to
 * the process), keeps count of what is pinned, and puts the kernel's refusals into words.
 */
export class IovaSpace {
  /** Bytes of an IOMMU page: mappings are whole pages. */
  readonly pageSize: number;
  readonly addressBits: number;
  readonly #container: VfioContainer;
  readonly #ranges: readonly { readonly end: number; readonly allocator: RangeAllocator }[];
  #pinnedBytes = 0;
  #leakedBytes = 0;

  /** Uses addresses from `start` on. Throws {@link DmaError} `ERR_DMA_RANGE` when the container has none there. */
  constructor(container: VfioContainer, start: number) {
    const { pageSize, iovaRanges } = container.info();
    const usable = iovaRanges.filter(({ end }) => end > start);
    if (usable.length === 0 || start % pageSize !== 0) throw startError(start, pageSize, iovaRanges);
    this.pageSize = pageSize;
    this.addressBits = Math.ceil(Math.log2(usable.at(-1)!.end + 1));
    this.#container = container;
    this.#ranges = usable.map((range) => {
      const first = Math.max(range.start, start);
      return { end: range.end, allocator: new RangeAllocator('I/O virtual addresses', first, range.end + 1 - first) };
    });
  }

  /** Bytes mapped, each mapping counted: what the memory-lock limit is compared with. */
  get pinnedBytes(): number {
    return this.#pinnedBytes;
  }

  /** Bytes given up because the kernel did not unmap them. */
  get leakedBytes(): number {
    return this.#leakedBytes;
  }

  /** Takes `size` bytes of address space; nothing is mapped there. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  reserve(size: number, alignment: number): number {
    for (const { allocator } of this.#ranges) {
      const iova = allocator.tryAllocate(size, alignment);
      if (iova >= 0) return iova;
    }
    // Fails again, and says by how much.
    return this.#ranges.at(-1)!.allocator.allocate(size, alignment);
  }

  giveBack(iova: number): void {
    this.#ranges.find(({ end }) => iova <= end)!.allocator.free(iova);
  }

  /** VFIO_IOMMU_MAP_DMA. Returns 0 or a negated errno. Hot: no allocation. */
  map(address: number, iova: number, size: number, flags: number): number {
    const result = this.#container.mapDma(address, iova, size, flags);
    if (result === 0) this.#pinnedBytes += size;
    return result;
  }

  /** Unmaps exactly what was mapped. Returns false when the kernel did not: then neither memory nor addresses can be reused. Hot: no allocation. */
  unmap(iova: number, size: number): boolean {
    if (this.#container.unmapDma(iova, size) !== size) {
      this.#leakedBytes += size;
      return false;
    }
    this.#pinnedBytes -= size;
    return true;
  }

  /** Says what a refused mapping needed, what the limit is, and what to do. */
  explain(errno: number, address: number, iova: number, size: number): DmaError {
    const what = `cannot map ${size} bytes at 0x${address.toString(16)} to I/O virtual address 0x${iova.toString(16)}: ${errnoName(errno)}`;
    const { memoryLockLimit, available } = this.#container.info();
    if (errno === ENOMEM) {
      const limit =
        memoryLockLimit === undefined ? 'and the kernel has no memory for it' : `of the ${memoryLockLimit} that may be`;
      const kibibytes = Math.ceil((this.#pinnedBytes + size) / 1024);
      return new DmaError('ERR_DMA_EXHAUSTED', `${what}; ${this.#pinnedBytes} bytes are pinned, ${limit}`, {
        hint: `raise the memory-lock limit to at least ${kibibytes}KiB (ulimit -l ${kibibytes}; platform.memoryLockLimit on the simulated machine), or use smaller buffers and queues`,
      });
    }
    if (errno === ENOSPC) {
      return new DmaError('ERR_DMA_EXHAUSTED', `${what}; the container takes ${available} more mappings`, {
        hint: 'raise dma_entry_limit of vfio_iommu_type1 (platform.entryLimit on the simulated machine), or map fewer, larger buffers',
      });
    }
    return new DmaError('ERR_DMA_RANGE', what, {
      hint: 'the memory lies outside the process, or something else uses these I/O virtual addresses',
    });
  }
}

function startError(start: number, pageSize: number, ranges: VfioIommuInfo['iovaRanges']): DmaError {
  const usable = ranges.map(({ start, end }) => `0x${start.toString(16)}..0x${end.toString(16)}`).join(', ');
  return new DmaError(
    'ERR_DMA_RANGE',
    `platform.iovaStart 0x${start.toString(16)} cannot be used: the container has ${usable}`,
    {
      hint: `leave iovaStart out, or choose a multiple of ${pageSize} inside`,
    },
  );
}
