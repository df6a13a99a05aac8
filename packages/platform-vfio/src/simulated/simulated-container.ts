import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core';
import type { VfioOptions } from '../options.ts';
import {
  EEXIST,
  EFAULT,
  EINVAL,
  ENOMEM,
  ENOSPC,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  type VfioContainer,
  type VfioIommuInfo,
} from '../vfio-container.ts';
import { DmaEntries } from './dma-entries.ts';
import type { IoPageTable } from './io-page-table.ts';

/** Where x86 devices write their interrupts; never translated, so never mapped. */
const INTERRUPT_RANGE = { start: 0xfee0_0000, end: 0xfeef_ffff } as const;
const ALL_FLAGS = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
/** Addresses and sizes of the ioctls have 64 bits. */
const WRAP = 2 ** 64;

/**
 * A type 1 version 2 container in software, without CAP_IPC_LOCK. Refuses what Linux refuses, in the order of its checks
 * (`vfio_dma_do_map`, `vfio_dma_do_unmap`), and programs an I/O page table that a device is translated by.
 */
export class SimulatedContainer implements VfioContainer {
  readonly #memory: GuestMemory;
  readonly #table: IoPageTable;
  readonly #entries: DmaEntries;
  readonly #options: VfioOptions;
  #lockedPages = 0;

  constructor(memory: GuestMemory, table: IoPageTable, options: VfioOptions) {
    this.#memory = memory;
    this.#table = table;
    this.#entries = new DmaEntries(options.entryLimit);
    this.#options = options;
  }

  /** Bytes that count against the memory-lock limit: those of every mapping, also of the same page. */
  get lockedBytes(): number {
    return this.#lockedPages * PAGE_SIZE;
  }

  info(): VfioIommuInfo {
    return {
      pageSize: PAGE_SIZE,
      iovaRanges: [
        { start: 0, end: INTERRUPT_RANGE.start - 1 },
        { start: INTERRUPT_RANGE.end + 1, end: 2 ** this.#table.addressWidth - 1 },
      ],
      available: this.#options.entryLimit - this.#entries.count,
      memoryLockLimit: this.#options.memoryLockLimit,
    };
  }

  mapDma(address: number, iova: number, size: number, flags: number): number {
    if ((flags & ~ALL_FLAGS) !== 0 || flags === 0) return EINVAL;
    if (size === 0 || !arePages(size, iova, address)) return EINVAL;
    if (iova + size > WRAP || address + size > WRAP) return EINVAL;
    if (this.#entries.overlaps(iova, iova + size)) return EEXIST;
    if (this.#entries.count === this.#options.entryLimit) return ENOSPC;
    if (!this.#isUsable(iova, size)) return EINVAL;
    const failure = this.#lock(address, size / PAGE_SIZE);
    if (failure !== 0) return failure;
    if (!this.#translate(address, iova, size, flags)) return ENOMEM;
    this.#lockedPages += size / PAGE_SIZE;
    this.#entries.insert(iova, iova + size);
    return 0;
  }

  unmapDma(iova: number, size: number): number {
    if (size === 0 || !arePages(size, iova, 0) || iova + size > WRAP) return EINVAL;
    const end = iova + size;
    const first = this.#entries.indexAt(iova);
    let behind = first;
    let unmapped = 0;
    for (; behind < this.#entries.count && this.#entries.start(behind) < end; behind++) {
      // A mapping is unmapped whole or not at all, and then nothing is.
      if (this.#entries.start(behind) < iova || this.#entries.end(behind) > end) return EINVAL;
      unmapped += this.#entries.end(behind) - this.#entries.start(behind);
    }
    if (unmapped === 0) return 0;
    for (let i = first; i < behind; i++) this.#clear(this.#entries.start(i), this.#entries.end(i));
    this.#entries.remove(first, behind - first);
    this.#lockedPages -= unmapped / PAGE_SIZE;
    return unmapped;
  }

  #isUsable(iova: number, size: number): boolean {
    const last = iova + size - 1;
    if (iova < 0 || last >= 2 ** this.#table.addressWidth) return false;
    return last < INTERRUPT_RANGE.start || iova > INTERRUPT_RANGE.end;
  }

  /** Pins page by page: whichever comes first is told, a page that is not there or one too many. */
  #lock(address: number, pages: number): number {
    const present = address >= 0 && address < this.#memory.size ? (this.#memory.size - address) / PAGE_SIZE : 0;
    const lockable = Math.floor(this.#options.memoryLockLimit / PAGE_SIZE) - this.#lockedPages;
    if (present < pages && present <= lockable) return EFAULT;
    return pages > lockable ? ENOMEM : 0;
  }

  /** Fills the page table, or leaves it as it was and returns false when there is no memory for it. */
  #translate(address: number, iova: number, size: number, flags: number): boolean {
    for (let done = 0; done < size; done += PAGE_SIZE) {
      // The flags of the ioctl are the permission bits of an entry.
      if (this.#table.set(iova + done, (address + done) / PAGE_SIZE, flags)) continue;
      this.#clear(iova, iova + done);
      return false;
    }
    return true;
  }

  #clear(start: number, end: number): void {
    for (let iova = start; iova < end; iova += PAGE_SIZE) this.#table.clear(iova);
    this.#table.invalidate();
  }
}

function arePages(size: number, iova: number, address: number): boolean {
  return size % PAGE_SIZE === 0 && iova % PAGE_SIZE === 0 && address % PAGE_SIZE === 0;
}
