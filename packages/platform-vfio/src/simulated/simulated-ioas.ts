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
  type OtherDeviceState,
} from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import { ENTRY_READ, ENTRY_WRITE, type IoPageTable } from './io-page-table.ts';
import { IovaAperture, PinnedMappings } from './pinned-mappings.ts';
import { MemoryLock } from './memory-lock.ts';
import { OtherDevices, type SharedContainer } from './other-devices.ts';
const PERMISSIONS = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
/** Addresses and lengths have 64 bits. */
const WRAP = 2 ** 64;
/** A large page, for Linux with transparent huge pages; without them an address is aligned to a page only. */
const MOST_ALIGNED = 2 ** 21;
/**
 * A simulated I/O address space of iommufd, attached to one device. Refuses what Linux refuses, in the order of the
 * kernel's checks (`iommufd_ioas_map`, `iopt_map_user_pages`, `iopt_unmap_iova`). It holds any number of mappings.
 */
export class SimulatedIoas implements IommufdIoas, SharedContainer {
  readonly type = 'iommufd';
  readonly #memory: GuestMemory;
  readonly #mappings: PinnedMappings;
  readonly #aperture: IovaAperture;
  readonly #lock: MemoryLock;
  readonly #alignment: number;
  readonly #others: OtherDevices;
  /** The addresses among which the kernel chooses. */
  #allowed: readonly IovaRange[];

  /**
   * `alignment` of addresses and lengths is that of the IOMMU's pages unless given. These are not larger than the
   * kernel's: no device behind such an IOMMU can be attached, and the options refuse it.
   */
  constructor(memory: GuestMemory, table: IoPageTable, options: VfioOptions, alignment: number = options.pageSize) {
    const { memoryLockLimit, lockedByUser, capIpcLock, pageSize, hostPageSize = pageSize } = options;
    this.#memory = memory;
    this.#alignment = alignment;
    this.#aperture = new IovaAperture(table.addressWidth, options.reserved ?? []);
    this.#lock = new MemoryLock({ limit: memoryLockLimit, lockedBefore: lockedByUser, capIpcLock, hostPageSize });
    this.#mappings = new PinnedMappings(table, this.#lock);
    this.#allowed = this.#aperture.ranges;
    this.#others = new OtherDevices(memory, options.otherDevices ?? []);
    this.#others.open(this);
  }

  /** Bytes that count against the memory-lock limit of the user; a page that is mapped twice counts twice. */
  get lockedBytes(): number {
    return this.#lock.lockedBytes;
  }

  get iovaRanges(): readonly IovaRange[] {
    return this.#aperture.ranges;
  }

  get otherDevices(): readonly OtherDeviceState[] {
    return this.#others.states;
  }

  attach(): number {
    return 0;
  }

  mapShared(address: number, iova: number, size: number): number {
    return Math.min(this.#map(address, iova, size, ENTRY_READ | ENTRY_WRITE), 0);
  }

  /** All address spaces of a user count against its one limit. */
  lockElsewhere(pages: number): boolean {
    return this.#lock.charge(pages);
  }

  info(): IoasInfo {
    return {
      alignment: this.#alignment,
      iovaRanges: this.#aperture.ranges,
      memoryLockLimit: this.#lock.limit,
      lockedBytes: this.#lock.countedBytes,
      reservedRanges: this.#aperture.reserved,
      interruptRanges: this.#aperture.interrupts,
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
    const place = (flags & IOMMU_IOAS_MAP_FIXED_IOVA) === 0 ? undefined : iova;
    return this.mapPages(address, place, size, permissionsOf(flags));
  }

  /**
   * What both interfaces of the kernel have in common (`iopt_map_user_pages`): maps at `iova`, or at an address that
   * the kernel chooses. Returns the address, or a negated errno.
   */
  mapPages(address: number, iova: number | undefined, size: number, permissions: number): number {
    const place = this.#map(address, iova, size, permissions);
    if (place >= 0) this.#others.mapped();
    return place;
  }

  #map(address: number, iova: number | undefined, size: number, permissions: number): number {
    if (!(size > 0)) return EINVAL;
    if (address + size > WRAP) return EOVERFLOW;
    if (size % this.#alignment !== 0) return EINVAL;
    const place = iova === undefined ? this.#choose(address, size) : this.#check(iova, size);
    if (place < 0) return place;
    if (address % this.#alignment !== 0) return EINVAL;
    if (!this.#memory.contains(address, size)) return EFAULT;
    // The I/O page table has no entry that permits nothing.
    if (permissions === 0) return EINVAL;
    // The kernel accounts after it pinned all pages, so EFAULT for a missing page comes before ENOMEM.
    const index = this.#mappings.entries.gapAt(place, place + size);
    return this.#mappings.add(index, address, place, size, permissions) ? place : ENOMEM;
  }

  unmap(iova: number, size: number): number {
    if (iova === 0 && size === IOAS_UNMAP_ALL) return this.unmapAll();
    if (iova >= WRAP || size >= WRAP) return EOVERFLOW;
    const unmapped = this.unmapPages(iova, size);
    return unmapped === 0 ? ENOENT : unmapped;
  }

  /** Unmaps every mapping, and returns their bytes. */
  unmapAll(): number {
    return this.#mappings.remove(0, this.#mappings.entries.count);
  }

  /**
   * What both interfaces of the kernel have in common (`iopt_unmap_iova`): unmaps whole mappings in ascending order, up
   * to one that the range bisects. Returns the bytes, 0 where nothing was mapped, or a negated errno.
   */
  unmapPages(iova: number, size: number): number {
    const { entries } = this.#mappings;
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
    return isBisected ? ENOENT : unmapped;
  }

  /**
   * Makes two mappings of the one that has both `iova` and the byte before it, if any (`iopt_cut_iova`). Returns 0, or
   * EINVAL for an address that is not aligned.
   */
  cut(iova: number): number {
    const { entries } = this.#mappings;
    const index = entries.indexAt(iova);
    if (index === entries.count || entries.start(index) >= iova) return 0;
    if (iova % this.#alignment !== 0) return EINVAL;
    entries.split(index, iova, (entries.end(index) - iova) / PAGE_SIZE);
    return 0;
  }

  #check(iova: number, size: number): number {
    if (iova % this.#alignment !== 0) return EINVAL;
    if (iova + size > WRAP) return EOVERFLOW;
    if (!this.#aperture.holds(iova, size)) return EINVAL;
    return this.#mappings.entries.gapAt(iova, iova + size) < 0 ? EEXIST : iova;
  }

  /**
   * The lowest free address that is aligned as the memory is aligned, up to the size and to a large page; never in the
   * first page. Hot: no allocation.
   */
  #choose(address: number, size: number): number {
    if (size >= WRAP / 2) return EOVERFLOW;
    const alignment = Math.min(2 ** Math.ceil(Math.log2(size)), alignmentOf(address));
    if (alignment < this.#alignment) return EINVAL;
    const { entries } = this.#mappings;
    for (let i = 0; i < this.#allowed.length; i++) {
      const { start, end } = this.#allowed[i]!;
      let iova = alignUp(Math.max(start, this.#alignment), alignment);
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
