import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { EBUSY, EFAULT, EINVAL, ENOENT, ENOMEM } from '../container/errno.ts';

/** The memory-lock limit of a simulated process. */
export interface MemoryLockOptions {
  /** RLIMIT_MEMLOCK in bytes. */
  readonly limit: number;
  /** Bytes that count against the limit already, locked by other processes or by other means. */
  readonly lockedBefore: number;
  /** CAP_IPC_LOCK: the limit does not apply. */
  readonly capIpcLock: boolean;
  /** Bytes of a page of the kernel, in which it counts. 4096 unless given. */
  readonly hostPageSize?: number | undefined;
}

/** What the kernel counts against the memory-lock limit for one container, in pages of 4 KiB. */
export class MemoryLock {
  /** The limit in bytes, for messages; `undefined` where none applies. */
  readonly limit: number | undefined;
  readonly #lockedBefore: number;
  readonly #mostPages: number;
  readonly #hostPageSize: number;
  #pages = 0;

  constructor({ limit, lockedBefore, capIpcLock, hostPageSize = PAGE_SIZE }: MemoryLockOptions) {
    this.limit = capIpcLock ? undefined : limit;
    this.#hostPageSize = hostPageSize;
    this.#lockedBefore = Math.ceil(lockedBefore / hostPageSize) * hostPageSize;
    const left = Math.floor(limit / hostPageSize) * hostPageSize - this.#lockedBefore;
    this.#mostPages = capIpcLock ? Infinity : Math.max(left / PAGE_SIZE, 0);
  }

  /** What a range of memory counts as: all of the kernel's pages that it touches. In pages of 4 KiB. */
  pagesOf(address: number, size: number): number {
    const host = this.#hostPageSize;
    return (Math.ceil(((address % host) + size) / host) * host) / PAGE_SIZE;
  }

  /** Bytes locked through this container. */
  get lockedBytes(): number {
    return this.#pages * PAGE_SIZE;
  }

  /** Bytes that count against the limit, with those that were locked before. */
  get countedBytes(): number {
    return this.#lockedBefore + this.lockedBytes;
  }

  /** How many more pages can be locked. */
  get lockable(): number {
    return this.#mostPages - this.#pages;
  }

  /** Locks pages, or returns false and locks none. */
  charge(pages: number): boolean {
    if (pages > this.lockable) return false;
    this.#pages += pages;
    return true;
  }

  release(pages: number): void {
    this.#pages -= pages;
  }
}

/** A registered range: pinned and accounted once, however often it is mapped. */
interface Registration {
  readonly address: number;
  readonly size: number;
  /** TCEs that point into it. */
  mapped: number;
}

/** Addresses and sizes of the ioctls have 64 bits. */
const WRAP = 2 ** 64;

/**
 * The memory that a container of sPAPR version 2 may map (`tce_iommu_register_pages`, `mm_iommu_do_alloc`). Registered
 * memory counts against the memory-lock limit.
 */
export class RegisteredMemory {
  readonly #memory: GuestMemory;
  readonly #lock: MemoryLock;
  readonly #registrations: Registration[] = [];

  constructor(memory: GuestMemory, lock: MemoryLock) {
    this.#memory = memory;
    this.#lock = lock;
  }

  /** Registers whole pages. Returns 0, or EINVAL, EBUSY (this range is registered already), ENOMEM, EFAULT. */
  register(address: number, size: number): number {
    if (!arePages(address, size) || address + size > WRAP) return EINVAL;
    if (this.#findExact(address, size) !== undefined) return EBUSY;
    const pages = size / PAGE_SIZE;
    // The order of the kernel: account, then pin, then look for overlaps.
    if (!this.#lock.charge(pages)) return ENOMEM;
    const failure = this.#memory.contains(address, size) ? 0 : EFAULT;
    const isOverlapping = this.#registrations.some(
      (other) => other.address < address + size && address < other.address + other.size,
    );
    if (failure < 0 || isOverlapping) {
      this.#lock.release(pages);
      return failure < 0 ? failure : EINVAL;
    }
    this.#registrations.push({ address, size, mapped: 0 });
    return 0;
  }

  /** Takes exactly one range that was registered. Returns 0, or EINVAL, ENOENT, EBUSY (TCEs still point into it). */
  unregister(address: number, size: number): number {
    if (!arePages(address, size)) return EINVAL;
    const registration = this.#findExact(address, size);
    if (registration === undefined) return ENOENT;
    if (registration.mapped > 0) return EBUSY;
    this.#registrations.splice(this.#registrations.indexOf(registration), 1);
    this.#lock.release(size / PAGE_SIZE);
    return 0;
  }

  /** Counts a TCE for memory inside one registration. Returns false, and counts nothing, for any other memory. */
  use(address: number, size: number): boolean {
    const registration = this.#findAround(address, size);
    if (registration === undefined) return false;
    registration.mapped++;
    return true;
  }

  /** Takes back the count of one {@link use}. */
  release(address: number, size: number): void {
    this.#findAround(address, size)!.mapped--;
  }

  #findExact(address: number, size: number): Registration | undefined {
    return this.#registrations.find((other) => other.address === address && other.size === size);
  }

  #findAround(address: number, size: number): Registration | undefined {
    return this.#registrations.find(
      (other) => other.address <= address && address + size <= other.address + other.size,
    );
  }
}

function arePages(address: number, size: number): boolean {
  return address % PAGE_SIZE === 0 && size % PAGE_SIZE === 0 && size > 0;
}
