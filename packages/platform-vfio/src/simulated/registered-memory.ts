import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { EBUSY, EFAULT, EINVAL, ENOENT, ENOMEM } from '../container/errno.ts';
import type { MemoryLock } from './memory-lock.ts';

/** Memory that was registered: pinned and accounted once, however often it is mapped. */
interface Registration {
  readonly address: number;
  readonly size: number;
  /** TCEs that point into it. */
  mapped: number;
}

/** Addresses and sizes of the ioctls have 64 bits. */
const WRAP = 2 ** 64;

/** The memory that a container of sPAPR version 2 may map (`tce_iommu_register_pages`, `mm_iommu_do_alloc`). */
export class RegisteredMemory {
  readonly #memory: GuestMemory;
  readonly #lock: MemoryLock;
  readonly #registrations: Registration[] = [];

  constructor(memory: GuestMemory, lock: MemoryLock) {
    this.#memory = memory;
    this.#lock = lock;
  }

  register(address: number, size: number): number {
    if (!arePages(address, size) || address + size > WRAP) return EINVAL;
    if (this.#exactly(address, size) !== undefined) return EBUSY;
    const pages = size / PAGE_SIZE;
    // Accounted before it is pinned, and looked up for overlaps last.
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

  unregister(address: number, size: number): number {
    if (!arePages(address, size)) return EINVAL;
    const registration = this.#exactly(address, size);
    if (registration === undefined) return ENOENT;
    if (registration.mapped > 0) return EBUSY;
    this.#registrations.splice(this.#registrations.indexOf(registration), 1);
    this.#lock.release(size / PAGE_SIZE);
    return 0;
  }

  /** Counts a TCE for memory that lies in one registration, and returns false for any other. */
  use(address: number, size: number): boolean {
    const registration = this.#around(address, size);
    if (registration === undefined) return false;
    registration.mapped++;
    return true;
  }

  /** Takes back what {@link use} counted. */
  release(address: number, size: number): void {
    this.#around(address, size)!.mapped--;
  }

  #exactly(address: number, size: number): Registration | undefined {
    return this.#registrations.find((other) => other.address === address && other.size === size);
  }

  #around(address: number, size: number): Registration | undefined {
    return this.#registrations.find(
      (other) => other.address <= address && address + size <= other.address + other.size,
    );
  }
}

function arePages(address: number, size: number): boolean {
  return address % PAGE_SIZE === 0 && size % PAGE_SIZE === 0 && size > 0;
}
