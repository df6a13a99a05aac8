import { PAGE_SIZE, type GuestMemory, type MemoryConversion, type PageStates } from '@virtio-platform/core/memory';
import type { AddressTranslation, DeviceAccess, FaultCause } from '@virtio-platform/core/address-space';
/**
 * Simulates the ultravisor of a secure guest: it records which pages are shared, and zeroes a page when it converts it.
 */
export class SimulatedUltravisor implements MemoryConversion {
  readonly #memory: GuestMemory;
  readonly #pages: PageStates;

  constructor(memory: GuestMemory, pages: PageStates) {
    this.#memory = memory;
    this.#pages = pages;
  }

  setShared(address: number, length: number): boolean {
    return this.#convert(address, length, true);
  }

  setPrivate(address: number, length: number): boolean {
    return this.#convert(address, length, false);
  }

  #convert(address: number, length: number, toShared: boolean): boolean {
    if (address % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0 || !this.#memory.contains(address, length)) return false;
    for (let page = address; page < address + length; page += PAGE_SIZE) {
      if (this.#pages.isShared(page) === toShared) continue;
      this.#memory.u8.fill(0, page, page + PAGE_SIZE);
      this.#pages.set(page, toShared);
    }
    return true;
  }
}

/**
 * A secure guest's memory behind a translation: the ultravisor denies every access to a page that was not shared,
 * wherever the address came from. Unlike ciphertext, nothing is read and nothing changes.
 */
export class ProtectedTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'access-denied';
  readonly #inner: AddressTranslation;
  readonly #pages: PageStates;
  readonly #size: number;

  /** `size` is that of guest memory; the ultravisor does not check addresses behind it. */
  constructor(inner: AddressTranslation, pages: PageStates, size: number) {
    this.#inner = inner;
    this.#pages = pages;
    this.#size = size;
  }

  /** Both only ever grow. */
  get generation(): number {
    return this.#inner.generation + this.#pages.generation;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const inner = this.#inner;
    const address = inner.translate(low, high, access);
    this.run = inner.run;
    if (address < 0) {
      this.cause = inner.cause;
      return -1;
    }
    if (address >= this.#size) return address;
    const inPage = PAGE_SIZE - (address % PAGE_SIZE);
    if (inPage < this.run) this.run = inPage;
    if (this.#pages.isShared(address)) return address;
    this.cause = 'access-denied';
    return -1;
  }

  freeze(isFrozen: boolean): void {
    this.#inner.freeze?.(isFrozen);
  }

  reset(): void {
    this.#inner.reset?.();
  }
}
