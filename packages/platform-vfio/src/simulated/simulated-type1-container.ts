import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { EEXIST, EFAULT, EINVAL, ENOMEM, ENOSPC } from '../container/errno.ts';
import {
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  type Type1Container,
  type VfioIommuInfo,
} from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import type { IoPageTable } from './io-page-table.ts';
import { IovaAperture, PinnedMappings } from './pinned-mappings.ts';
import { MemoryLock } from './memory-lock.ts';

const ALL_FLAGS = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
/** Addresses and sizes of the ioctls have 64 bits. */
const WRAP = 2 ** 64;

/**
 * A simulated type 1 container of either version. Refuses what Linux refuses, in the order of the kernel's checks
 * (`vfio_dma_do_map`, `vfio_dma_do_unmap`), and programs the I/O page table that translates for the device.
 */
export class SimulatedType1Container implements Type1Container {
  readonly type: Type1Container['type'];
  readonly #memory: GuestMemory;
  readonly #mappings: PinnedMappings;
  readonly #entryLimit: number;
  readonly #aperture: IovaAperture;
  readonly #lock: MemoryLock;

  constructor(type: Type1Container['type'], memory: GuestMemory, table: IoPageTable, options: VfioOptions) {
    const { memoryLockLimit, lockedByProcess, capIpcLock, entryLimit } = options;
    this.type = type;
    this.#memory = memory;
    this.#entryLimit = entryLimit;
    this.#aperture = new IovaAperture(table.addressWidth, options.reserved ?? []);
    this.#lock = new MemoryLock({ limit: memoryLockLimit, lockedBefore: lockedByProcess, capIpcLock });
    this.#mappings = new PinnedMappings(table, this.#lock, entryLimit);
  }

  /** Bytes that count against the memory-lock limit; a page that is mapped twice counts twice. */
  get lockedBytes(): number {
    return this.#lock.lockedBytes;
  }

  info(): VfioIommuInfo {
    return {
      pageSize: PAGE_SIZE,
      iovaRanges: this.#aperture.ranges,
      available: this.#entryLimit - this.#mappings.entries.count,
      memoryLockLimit: this.#lock.limit,
      lockedBytes: this.#lock.countedBytes,
      reservedRanges: this.#aperture.reserved,
    };
  }

  mapDma(address: number, iova: number, size: number, flags: number): number {
    if ((flags & ~ALL_FLAGS) !== 0 || flags === 0) return EINVAL;
    if (size === 0 || !arePages(size, iova, address)) return EINVAL;
    if (iova + size > WRAP || address + size > WRAP) return EINVAL;
    if (this.#mappings.entries.overlaps(iova, iova + size)) return EEXIST;
    if (this.#mappings.entries.count === this.#entryLimit) return ENOSPC;
    if (!this.#aperture.holds(iova, size)) return EINVAL;
    if (this.#isFirstMissing(address, size / PAGE_SIZE)) return EFAULT;
    // The flags of the ioctl are the permission bits of an entry.
    return this.#mappings.add(address, iova, size, flags) ? 0 : ENOMEM;
  }

  unmapDma(iova: number, size: number, flags = 0): number {
    if ((flags & ~VFIO_DMA_UNMAP_FLAG_ALL) !== 0 || !arePages(0, iova, 0)) return EINVAL;
    const { entries } = this.#mappings;
    if (flags === VFIO_DMA_UNMAP_FLAG_ALL)
      return iova === 0 && size === 0 ? this.#mappings.remove(0, entries.count) : EINVAL;
    if (size === 0 || !arePages(size, iova, 0) || iova + size > WRAP) return EINVAL;
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
    return this.#mappings.remove(first, behind - first);
  }

  /**
   * The kernel pins page by page and returns the first failure: whether a missing page comes before one over the limit.
   */
  #isFirstMissing(address: number, pages: number): boolean {
    const present = address >= 0 && address < this.#memory.size ? (this.#memory.size - address) / PAGE_SIZE : 0;
    return present < pages && present <= this.#lock.lockable;
  }
}

function arePages(size: number, iova: number, address: number): boolean {
  return size % PAGE_SIZE === 0 && iova % PAGE_SIZE === 0 && address % PAGE_SIZE === 0;
}
