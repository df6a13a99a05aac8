import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import {
  EADDRINUSE,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  EOVERFLOW,
} from '../container/errno.ts';
import {
  IOAS_UNMAP_ALL,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  type IoasInfo,
  type IommufdIoas,
  type IovaRange,
} from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import { ENTRY_READ, ENTRY_WRITE, type IoPageTable } from './io-page-table.ts';
import { IovaAperture, PinnedMappings } from './pinned-mappings.ts';
import { MemoryLock } from './memory-lock.ts';
const PERMISSIONS = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
/** Addresses and lengths have 64 bits. */
const WRAP = 2 ** 64;
/** A large page, for Linux with transparent huge pages; without them an address is aligned to a page only. */
const MOST_ALIGNED = 2 ** 21;
/** Limit of mappings of this simulation; iommufd itself has none. */
const MOST_AREAS = 2 ** 16;

/**
 * A simulated I/O address space of iommufd, attached to one device. Refuses what Linux refuses, in the order of the
 * kernel's checks (`iommufd_ioas_map`, `iopt_map_user_pages`, `iopt_unmap_iova`).
 */
export class SimulatedIoas implements IommufdIoas {
  readonly type = 'iommufd';
  readonly #memory: GuestMemory;
  readonly #mappings: PinnedMappings;
  readonly #aperture: IovaAperture;
  readonly #lock: MemoryLock;
  /** The addresses among which the kernel chooses. */
  #allowed: readonly IovaRange[];

  constructor(memory: GuestMemory, table: IoPageTable, options: VfioOptions) {
    const { memoryLockLimit, lockedByUser, capIpcLock } = options;
    this.#memory = memory;
    this.#aperture = new IovaAperture(table.addressWidth, options.reserved ?? []);
    this.#lock = new MemoryLock({ limit: memoryLockLimit, lockedBefore: lockedByUser, capIpcLock });
    this.#mappings = new PinnedMappings(table, this.#lock, MOST_AREAS);
    this.#allowed = this.#aperture.ranges;
  }

  /** Bytes that count against the memory-lock limit of the user; a page that is mapped twice counts twice. */
  get lockedBytes(): number {
    return this.#lock.lockedBytes;
  }

  info(): IoasInfo {
    return {
      alignment: PAGE_SIZE,
      iovaRanges: this.#aperture.ranges,
      memoryLockLimit: this.#lock.limit,
      lockedBytes: this.#lock.countedBytes,
      reservedRanges: this.#aperture.reserved,
    };
  }

  allowIovas(ranges: readonly IovaRange[]): number {
    const sorted = ranges.toSorted((a, b) => a.start - b.start);
    const isDisjoint = sorted.every(({ start }, i) => i === 0 || sorted[i - 1]!.end < start);
    if (!isDisjoint || !sorted.every(({ start, end }) => start < end)) return EINVAL;
    if (!sorted.every(({ start, end }) => this.#aperture.holds(start, end + 1 - start))) return EADDRINUSE;
    this.#allowed = sorted.length === 0 ? this.#aperture.ranges : sorted;
    return 0;
  }

  map(address: number, iova: number, size: number, flags: number): number {
    if ((flags & ~(PERMISSIONS | IOMMU_IOAS_MAP_FIXED_IOVA)) !== 0) return EOPNOTSUPP;
    if (iova >= WRAP || size >= WRAP) return EOVERFLOW;
    if ((flags & PERMISSIONS) === 0) return EINVAL;
    if (!(size > 0)) return EINVAL;
    if (address + size > WRAP) return EOVERFLOW;
    if (size % PAGE_SIZE !== 0) return EINVAL;
    const place = (flags & IOMMU_IOAS_MAP_FIXED_IOVA) === 0 ? this.#choose(address, size) : this.#check(iova, size);
    if (place < 0) return place;
    if (address % PAGE_SIZE !== 0) return EINVAL;
    if (!this.#memory.contains(address, size)) return EFAULT;
    // The kernel accounts after it pinned all pages, so EFAULT for a missing page comes before ENOMEM.
    const isFull = this.#mappings.entries.count === MOST_AREAS;
    return !isFull && this.#mappings.add(address, place, size, permissionsOf(flags)) ? place : ENOMEM;
  }

  unmap(iova: number, size: number): number {
    const { entries } = this.#mappings;
    if (iova === 0 && size === IOAS_UNMAP_ALL) return this.#mappings.remove(0, entries.count);
    if (iova >= WRAP || size >= WRAP) return EOVERFLOW;
    if (!(size > 0)) return EINVAL;
    if (iova + size > WRAP) return EOVERFLOW;
    const end = iova + size;
    const first = entries.indexAt(iova);
    let behind = first;
    let isBisected = false;
    for (; behind < entries.count && entries.start(behind) < end; behind++) {
      isBisected = entries.start(behind) < iova || entries.end(behind) > end;
      if (isBisected) break;
    }
    // The kernel has already unmapped those before the one that is bisected.
    const unmapped = this.#mappings.remove(first, behind - first);
    return isBisected || unmapped === 0 ? ENOENT : unmapped;
  }

  #check(iova: number, size: number): number {
    if (iova % PAGE_SIZE !== 0) return EINVAL;
    if (iova + size > WRAP) return EOVERFLOW;
    if (!this.#aperture.holds(iova, size)) return EINVAL;
    return this.#mappings.entries.overlaps(iova, iova + size) ? EEXIST : iova;
  }

  /**
   * The lowest free address that is aligned as the memory is aligned, up to the size and to a large page; never in the
   * first page. Hot: no allocation.
   */
  #choose(address: number, size: number): number {
    if (size >= WRAP / 2) return EOVERFLOW;
    const alignment = Math.min(2 ** Math.ceil(Math.log2(size)), alignmentOf(address));
    if (alignment < PAGE_SIZE) return EINVAL;
    const { entries } = this.#mappings;
    for (let i = 0; i < this.#allowed.length; i++) {
      const { start, end } = this.#allowed[i]!;
      let iova = alignUp(Math.max(start, PAGE_SIZE), alignment);
      for (let next = entries.indexAt(iova); iova + size - 1 <= end; next++) {
        if (next === entries.count || entries.start(next) >= iova + size) return iova;
        // Alignment may already have moved the address behind this mapping.
        iova = Math.max(iova, alignUp(entries.end(next), alignment));
      }
    }
    return ENOSPC;
  }
}

function permissionsOf(flags: number): number {
  const read = (flags & IOMMU_IOAS_MAP_READABLE) === 0 ? 0 : ENTRY_READ;
  return (flags & IOMMU_IOAS_MAP_WRITEABLE) === 0 ? read : read | ENTRY_WRITE;
}

function alignUp(address: number, alignment: number): number {
  return Math.ceil(address / alignment) * alignment;
}

/** The largest power of two that divides an address, up to a large page. */
function alignmentOf(address: number): number {
  let alignment = 1;
  while (alignment < MOST_ALIGNED && address % (2 * alignment) === 0) alignment *= 2;
  return alignment;
}
