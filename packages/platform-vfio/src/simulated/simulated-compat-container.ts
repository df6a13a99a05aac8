import type { GuestMemory } from '@virtio-platform/core/memory';
import { EINVAL } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1V2_IOMMU,
  VFIO_UNMAP_ALL,
  type OtherDeviceState,
  type Type1Container,
  type VfioIommuInfo,
} from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import type { IoPageTable } from './io-page-table.ts';
import { SimulatedIoas } from './simulated-ioas.ts';

const PERMISSIONS = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
const EXTENSIONS: readonly number[] = [VFIO_TYPE1_IOMMU, VFIO_TYPE1V2_IOMMU, VFIO_UNMAP_ALL];
/** What VFIO_IOMMU_GET_INFO says of the mappings that can still be made: iommufd has no limit of them. */
const ANY_NUMBER = 2 ** 32 - 1;

/**
 * The container that iommufd has in place of VFIO's (CONFIG_IOMMUFD with /dev/iommu opened as a container; in Linux
 * `vfio_compat.c`), simulated over an I/O address space. It answers as iommufd does: other errors than type 1,
 * unmapping by other rules, no update of memory addresses, and memory counts for the user. A range with nothing in it
 * unmaps 0 bytes, as since Linux 6.18; before that it was ENOENT.
 */
export class SimulatedCompatContainer implements Type1Container {
  readonly type: 'iommufd-type1' | 'iommufd-type1v2';
  readonly #ioas: SimulatedIoas;
  readonly #pageSize: number;

  constructor(
    type: 'iommufd-type1' | 'iommufd-type1v2',
    memory: GuestMemory,
    table: IoPageTable,
    options: VfioOptions,
  ) {
    const { pageSize, hostPageSize = pageSize } = options;
    this.type = type;
    // Version 1 is mapped in pages of the kernel, so that it can be unmapped in any of them.
    const alignment = type === 'iommufd-type1' ? hostPageSize : pageSize;
    this.#ioas = new SimulatedIoas(memory, table, options, alignment);
    // The kernel names its own page as the smallest one, also where it would take smaller ones.
    this.#pageSize = hostPageSize;
  }

  /** Bytes that count against the memory-lock limit of the user; a page that is mapped twice counts twice. */
  get lockedBytes(): number {
    return this.#ioas.lockedBytes;
  }

  get otherDevices(): readonly OtherDeviceState[] {
    return this.#ioas.otherDevices;
  }

  info(): VfioIommuInfo {
    const { alignment: _, ...info } = this.#ioas.info();
    return { ...info, pageSize: this.#pageSize, available: ANY_NUMBER };
  }

  checkExtension(extension: number): number {
    return EXTENSIONS.includes(extension) ? 1 : 0;
  }

  mapDma(address: number, iova: number, size: number, flags: number): number {
    if ((flags & ~PERMISSIONS) !== 0) return EINVAL;
    // The flags of the ioctl are the permission bits of an entry.
    const place = this.#ioas.mapPages(address, iova, size, flags);
    return Math.min(place, 0);
  }

  unmapDma(iova: number, size: number, flags = 0): number {
    if ((flags & ~VFIO_DMA_UNMAP_FLAG_ALL) !== 0) return EINVAL;
    if (flags === VFIO_DMA_UNMAP_FLAG_ALL) return iova === 0 && size === 0 ? this.#ioas.unmapAll() : EINVAL;
    if (this.type === 'iommufd-type1') {
      const failure = this.#ioas.cut(iova + size) || this.#ioas.cut(iova);
      if (failure !== 0) return failure;
    }
    return this.#ioas.unmapPages(iova, size);
  }
}
