import { DmaError } from '@virtio-platform/core';
import type { DmaDirection } from '@virtio-platform/core/dma';
import { errnoName } from '../container/errno.ts';
import { IOMMU_IOAS_MAP_READABLE, IOMMU_IOAS_MAP_WRITEABLE, type IommufdIoas } from '../container/vfio-container.ts';
import { explainRefusal } from './iova-window.ts';
import type { IovaSpace, MappingSlots } from './iova-space.ts';
import { formatRanges, usableRanges } from './usable-ranges.ts';

/** What the device may do with a mapping, by {@link DmaDirection}. */
const FLAGS = [
  IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
] as const;

/** I/O virtual addresses that the kernel chooses: iommufd knows which are free, so the process reserves none. */
export class IoasIovaSpace implements IovaSpace {
  readonly pageSize: number;
  readonly addressBits: number;
  readonly ranges: IovaSpace['ranges'];
  readonly #ioas: IommufdIoas;
  #pinnedBytes = 0;

  /**
   * Lets the kernel choose addresses from `start` on and below `behind`, or anywhere without them. Throws
   * {@link DmaError} `ERR_DMA_RANGE` when no usable address is there.
   */
  constructor(ioas: IommufdIoas, start: number | undefined, behind: number = Infinity) {
    const info = ioas.info();
    const { alignment } = info;
    const ranges = usableRanges(info);
    const from = start ?? 0;
    const allowed = ranges.flatMap((range) =>
      range.start < behind && range.end > from
        ? [{ start: Math.max(range.start, from), end: Math.min(range.end, behind - 1) }]
        : [],
    );
    this.pageSize = alignment;
    this.addressBits = Math.ceil(Math.log2((allowed.at(-1)?.end ?? 0) + 1));
    this.#ioas = ioas;
    this.ranges = allowed.map((range) => ({ start: range.start, size: range.end + 1 - range.start }));
    if (start === undefined && behind === Infinity) return;
    const result = allowed.length === 0 ? undefined : ioas.allowIovas(allowed);
    if (result === 0) return;
    const why = result === undefined ? `the container has ${formatRanges(ranges)}` : errnoName(result);
    if (start === undefined)
      throw new DmaError(
        'ERR_DMA_RANGE',
        `no address below 0x${behind.toString(16)} (device.dmaBits) can be used: ${why}`,
        {
          hint: 'have the device take more address bits (device.dmaBits), or leave platform.reserved out',
        },
      );
    const bits = Math.ceil(Math.log2(ranges.at(-1)!.end + 1));
    throw new DmaError('ERR_DMA_RANGE', `platform.iovaStart 0x${start.toString(16)} cannot be used: ${why}`, {
      hint: `leave iovaStart out, or choose a multiple of ${alignment} below 2^${bits}`,
    });
  }

  get pinnedBytes(): number {
    return this.#pinnedBytes;
  }

  /** The kernel aligns an address at most as the memory is aligned, and at most to the size that is mapped. */
  coherentBytes(length: number, alignment: number): number {
    return Math.ceil(Math.max(length, alignment) / this.pageSize) * this.pageSize;
  }

  pin(address: number, size: number, alignment: number, direction: DmaDirection): number {
    const iova = this.#map(address, size, direction);
    if (iova < 0) {
      const refused = { errno: iova, address, iova: undefined, size, pinnedBytes: this.#pinnedBytes };
      throw explainRefusal(refused, this.#ioas.info());
    }
    if (iova % alignment === 0) return iova;
    this.unpin(iova, size);
    throw new DmaError(
      'ERR_DMA_RANGE',
      `the kernel chose 0x${iova.toString(16)}, which is not a multiple of ${alignment}`,
      {
        hint:
          `request an alignment of at most one page of ${this.pageSize}: the kernel aligns further only as the memory ` +
          `of the process is aligned, and up to 2 MiB`,
      },
    );
  }

  unpin(iova: number, size: number): boolean {
    if (this.#ioas.unmap(iova, size) !== size) return false;
    this.#pinnedBytes -= size;
    return true;
  }

  openSlots(slotBytes: number, count: number): MappingSlots {
    return {
      slotBytes,
      count,
      map: (address, size, direction) => this.#map(address, size, direction),
      unmap: (iova, size) => this.unpin(iova, size),
      close() {},
    };
  }

  close(): void {}

  #map(address: number, size: number, direction: DmaDirection): number {
    const iova = this.#ioas.map(address, 0, size, FLAGS[direction]);
    if (iova >= 0) this.#pinnedBytes += size;
    return iova;
  }
}
