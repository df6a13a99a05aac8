import type { PageStates } from '@virtio-platform/core/memory';
import type { MemoryConversion } from '../memory-conversion.ts';

/** Pages that a device may reach or not, without encryption: what a restricted-dma-pool is behind its firewall. */
export class PageAccess implements MemoryConversion {
  readonly #states: PageStates;
  readonly #pageSize: number;

  constructor(states: PageStates, pageSize: number) {
    this.#states = states;
    this.#pageSize = pageSize;
  }

  setShared(address: number, length: number): boolean {
    return this.#set(address, length, true);
  }

  setPrivate(address: number, length: number): boolean {
    return this.#set(address, length, false);
  }

  #set(address: number, length: number, isShared: boolean): boolean {
    for (let page = address; page < address + length; page += this.#pageSize) this.#states.set(page, isShared);
    return true;
  }
}
