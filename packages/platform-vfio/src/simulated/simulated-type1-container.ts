import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, ENOSPC } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1V2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
  type IovaRange,
  type OtherDeviceState,
  type Type1Container,
  type VfioIommuInfo,
} from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import type { IoPageTable } from './io-page-table.ts';
import { IovaAperture, PinnedMappings } from './pinned-mappings.ts';
import { MemoryLock } from './memory-lock.ts';
import { OtherDevices, type SharedContainer } from './other-devices.ts';

const PERMISSIONS = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
const MAP_FLAGS = PERMISSIONS | VFIO_DMA_MAP_FLAG_VADDR;
/** That for a bitmap of dirty pages is known too, and always refused: the request has no room for a bitmap. */
const UNMAP_FLAGS = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;
const EXTENSIONS: readonly number[] = [VFIO_TYPE1_IOMMU, VFIO_TYPE1V2_IOMMU, VFIO_UNMAP_ALL, VFIO_UPDATE_VADDR];
/** Addresses and sizes of the ioctls have 64 bits. */
const WRAP = 2 ** 64;
// In the checks: an imported constant is looked up each time, and a division by it stays one.
const PAGE = PAGE_SIZE;

/**
 * A simulated type 1 container of either version. Refuses what Linux refuses, in the order of the kernel's checks
 * (`vfio_dma_do_map`, `vfio_dma_do_unmap`), and programs the I/O page table that translates for its devices.
 */
export class SimulatedType1Container implements Type1Container, SharedContainer {
  readonly type: 'type1' | 'type1v2';
  readonly #memory: GuestMemory;
  readonly #mappings: PinnedMappings;
  readonly #options: VfioOptions;
  readonly #aperture: IovaAperture;
  readonly #pageSize: number;
  readonly #hostPageSize: number;
  readonly #others: OtherDevices;
  #lock: MemoryLock;

  constructor(type: 'type1' | 'type1v2', memory: GuestMemory, table: IoPageTable, options: VfioOptions) {
    const { memoryLockLimit, lockedByProcess, capIpcLock, pageSize, hostPageSize = pageSize } = options;
    this.type = type;
    this.#memory = memory;
    this.#options = options;
    this.#hostPageSize = hostPageSize;
    // Pages of the IOMMU that are smaller than the kernel's are hidden from the process.
    this.#pageSize = Math.max(pageSize, hostPageSize);
    this.#aperture = new IovaAperture(table.addressWidth, options.reserved ?? []);
    this.#lock = new MemoryLock({ limit: memoryLockLimit, lockedBefore: lockedByProcess, capIpcLock, hostPageSize });
    this.#mappings = new PinnedMappings(table, this.#lock);
    this.#others = new OtherDevices(memory, options.otherDevices ?? []);
    this.#others.open(this);
  }

  /** Bytes that count against the memory-lock limit of the process; a page that is mapped twice counts twice. */
  get lockedBytes(): number {
    return this.#lock.lockedBytes;
  }

  get iovaRanges(): readonly IovaRange[] {
    return this.#aperture.ranges;
  }

  get otherDevices(): readonly OtherDeviceState[] {
    return this.#others.states;
  }

  info(): VfioIommuInfo {
    return {
      pageSize: this.#pageSize,
      iovaRanges: this.#aperture.ranges,
      available: this.#options.entryLimit - this.#mappings.entries.count,
      memoryLockLimit: this.#lock.limit,
      lockedBytes: this.#lock.countedBytes,
      reservedRanges: this.#aperture.reserved,
      interruptRanges: this.#aperture.interrupts,
    };
  }

  checkExtension(extension: number): number {
    return EXTENSIONS.includes(extension) ? 1 : 0;
  }

  /**
   * VFIO_GROUP_SET_CONTAINER of another device: it reaches all that is mapped, and nothing is pinned again. EBUSY while
   * memory of a mapping is invalid, since the kernel may have to pin it.
   */
  attach(): number {
    return this.#mappings.invalid > 0 ? EBUSY : 0;
  }

  mapShared(address: number, iova: number, size: number): number {
    return this.#map(address, iova, size, PERMISSIONS);
  }

  /** All containers of a process count against its one limit. */
  lockElsewhere(pages: number): boolean {
    return this.#lock.charge(pages);
  }

  /** What `exec` leaves of a process: its container. The limits of the next process are those of `afterExec`. */
  exec(): void {
    const { memoryLockLimit, capIpcLock, pageSize, hostPageSize = pageSize, afterExec = {} } = this.#options;
    this.#lock = new MemoryLock({
      limit: afterExec.memoryLockLimit ?? memoryLockLimit,
      lockedBefore: afterExec.lockedByProcess ?? 0,
      capIpcLock: afterExec.capIpcLock ?? capIpcLock,
      hostPageSize,
    });
    this.#mappings.replaceProcess(this.#lock);
  }

  mapDma(address: number, iova: number, size: number, flags: number): number {
    const isUpdate = (flags & VFIO_DMA_MAP_FLAG_VADDR) !== 0;
    if ((flags & ~MAP_FLAGS) !== 0 || isUpdate === ((flags & PERMISSIONS) !== 0)) return EINVAL;
    if (size === 0 || !this.#arePages(size, iova, address)) return EINVAL;
    if (iova + size > WRAP || address + size > WRAP) return EINVAL;
    if (isUpdate) return this.#update(iova, size);
    const result = this.#map(address, iova, size, flags);
    if (result === 0) this.#others.mapped();
    return result;
  }

  /** The checks of a new mapping that follow those of its form. */
  #map(address: number, iova: number, size: number, flags: number): number {
    const index = this.#mappings.entries.gapAt(iova, iova + size);
    if (index < 0) return EEXIST;
    if (this.#mappings.entries.count === this.#options.entryLimit) return ENOSPC;
    if (!this.#aperture.holds(iova, size)) return EINVAL;
    if (this.#isFirstMissing(address, size)) return EFAULT;
    // Pages of memory that are smaller than the IOMMU's need not be side by side, and cannot be mapped by one of them.
    if (this.#hostPageSize < this.#pageSize) return this.#lock.lockable < this.#hostPageSize / PAGE ? ENOMEM : EINVAL;
    // The flags of the ioctl are the permission bits of an entry.
    return this.#mappings.add(index, address, iova, size, flags) ? 0 : ENOMEM;
  }

  unmapDma(iova: number, size: number, flags = 0): number {
    if ((flags & ~UNMAP_FLAGS) !== 0 || !this.#arePages(0, iova, 0)) return EINVAL;
    const { entries } = this.#mappings;
    const isAll = (flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
    const isInvalidation = (flags & VFIO_DMA_UNMAP_FLAG_VADDR) !== 0;
    if (isAll) return iova === 0 && size === 0 ? this.#take(0, entries.count, isInvalidation) : EINVAL;
    if (size === 0 || !this.#arePages(size, iova, 0) || iova + size > WRAP) return EINVAL;
    const end = iova + size;
    const first = entries.indexAt(iova);
    let behind = first;
    for (; behind < entries.count && entries.start(behind) < end; behind++) {
      const isBisected = entries.start(behind) < iova || entries.end(behind) > end;
      // Version 2 unmaps nothing when the range bisects a mapping.
      if (isBisected && this.type === 'type1v2') return EINVAL;
      // Version 1 stops at a mapping that begins before the range, and unmaps all of one that ends behind it.
      if (entries.start(behind) < iova) return 0;
    }
    return this.#take(first, behind - first, isInvalidation);
  }

  /** Unmaps mappings, or invalidates their memory: all of them or, when one is invalid already, none. */
  #take(first: number, count: number, isInvalidation: boolean): number {
    if (!isInvalidation) return this.#mappings.remove(first, count);
    const { entries } = this.#mappings;
    let bytes = 0;
    for (let i = first; i < first + count; i++) {
      if (entries.isInvalid(i)) return EINVAL;
      bytes += entries.end(i) - entries.start(i);
    }
    this.#mappings.invalidate(first, count);
    return bytes;
  }

  #update(iova: number, size: number): number {
    const { entries } = this.#mappings;
    const index = entries.indexAt(iova);
    if (index === entries.count || entries.start(index) >= iova + size) return ENOENT;
    const isExact = entries.start(index) === iova && entries.end(index) === iova + size;
    if (!isExact || !entries.isInvalid(index)) return EINVAL;
    return this.#mappings.adopt(index) ? 0 : ENOMEM;
  }

  /**
   * The kernel pins page by page and returns the first failure: whether a missing page comes before one over the limit.
   */
  #isFirstMissing(address: number, size: number): boolean {
    const pages = size / PAGE;
    const present = address >= 0 && address < this.#memory.size ? (this.#memory.size - address) / PAGE : 0;
    return present < pages && present <= this.#lock.lockable;
  }

  #arePages(size: number, iova: number, address: number): boolean {
    const pageSize = this.#pageSize;
    return arePages(size, pageSize) && arePages(iova, pageSize) && arePages(address, pageSize);
  }
}

/** Whether bytes are whole pages. The remainder of a number that is no small integer takes as long as the rest. */
function arePages(bytes: number, pageSize: number): boolean {
  const pages = bytes / pageSize;
  return Math.floor(pages) === pages;
}
