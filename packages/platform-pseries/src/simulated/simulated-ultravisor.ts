import { PAGE_SIZE, type GuestMemory, type MemoryConversion, type PageStates } from '@virtio-platform/core/memory';

/** The ultravisor of a secure guest in software: keeps who sees which page. A page that changes sides begins empty. */
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
