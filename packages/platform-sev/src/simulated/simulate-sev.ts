import type { SimulatedHardware } from '@virtio-platform/core';
import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import { PAGE_SIZE, PageStates, type GuestMemory, type MemoryConversion } from '@virtio-platform/core/memory';
import type { SevOptions } from '../options.ts';
import { MEMORY_CONVERSION } from '../sev-platform.ts';
import { EncryptedMemory, generateMemoryKeys, MemoryEncryption } from './encrypted-memory.ts';
import { sevAddressSpace } from './sev-address-space.ts';

/**
 * Simulates the protection of a guest's memory, all of it private at first. It is a property of the memory, so every
 * device sees the memory the same way, with or without ACCESS_PLATFORM.
 */
export function simulateSev(memory: GuestMemory, { technology, failures }: SevOptions): SimulatedHardware {
  const keys = generateMemoryKeys();
  const pages = PageStates.create(memory.size);
  const hardware =
    technology === 'restricted-pool'
      ? new PageAccess(pages, PAGE_SIZE)
      : new EncryptedMemory(memory, pages, new MemoryEncryption(keys));
  const conversion = new RefusingConversion(hardware, failures.conversion);
  const blueprint = sevAddressSpace({ pages: pages.buffer, keys, technology });
  return { facilities: new Map([[MEMORY_CONVERSION, conversion]]), addressSpace: () => blueprint };
}

/** Pages that a device may reach or not, without encryption: the firewall around a restricted-dma-pool. */
class PageAccess implements MemoryConversion {
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

/**
 * Injects refused conversions, at the calls that `failures.conversion` schedules. The host refuses in the middle, after
 * it converted the first half of the pages, so the guest does not know which pages are shared. Linux leaks such memory
 * (`dma_direct_free`).
 */
class RefusingConversion implements MemoryConversion {
  readonly #conversion: MemoryConversion;
  readonly #plan: FailurePlan;

  constructor(conversion: MemoryConversion, schedule: FailureSchedule) {
    this.#conversion = conversion;
    this.#plan = new FailurePlan(schedule);
  }

  setShared(address: number, length: number): boolean {
    if (!this.#plan.next()) return this.#conversion.setShared(address, length);
    this.#conversion.setShared(address, halfOf(length));
    return false;
  }

  setPrivate(address: number, length: number): boolean {
    if (!this.#plan.next()) return this.#conversion.setPrivate(address, length);
    this.#conversion.setPrivate(address, halfOf(length));
    return false;
  }
}

function halfOf(length: number): number {
  return Math.ceil(length / PAGE_SIZE / 2) * PAGE_SIZE;
}
