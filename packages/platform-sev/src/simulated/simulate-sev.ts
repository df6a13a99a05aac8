import type { SimulatedHardware } from '@virtio-platform/core';
import { FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import { PAGE_SIZE, PageStates, type GuestMemory, type MemoryConversion } from '@virtio-platform/core/memory';
import type { SevOptions } from '../options.ts';
import { MEMORY_CONVERSION, type RealmConversion } from '../sev-platform.ts';
import { RealmMemory } from './realm-memory.ts';
import { SharedGranules } from './shared-granules.ts';
import { EncryptedMemory, generateMemoryKeys, MemoryEncryption, type MemoryKeys } from './encrypted-memory.ts';
import { sevAddressSpace } from './sev-address-space.ts';

/**
 * Simulates the protection of a guest's memory, all of it private at first. It is a property of the memory, so every
 * device sees the memory the same way, with or without ACCESS_PLATFORM.
 */
export function simulateSev(memory: GuestMemory, options: SevOptions): SimulatedHardware {
  const { technology, failures, ipaBits } = options;
  const keys = generateMemoryKeys();
  const pages = PageStates.create(memory.size);
  const hardware = protection(memory, pages, keys, options);
  const refusing = new RefusingConversion(hardware, failures.conversion);
  const conversion: MemoryConversion | RealmConversion =
    technology === 'cca' ? Object.assign(refusing, { ipaBits }) : refusing;
  const alias = technology === 'cca' ? 2 ** (ipaBits - 1) : 0;
  const blueprint = sevAddressSpace({ pages: pages.buffer, keys, technology, alias });
  return { facilities: new Map([[MEMORY_CONVERSION, conversion]]), addressSpace: () => blueprint };
}

/** The protection by its technology. The hypervisor of pKVM is asked for the pool, and refuses any further range. */
function protection(
  memory: GuestMemory,
  pages: PageStates,
  keys: MemoryKeys,
  { technology, granule }: SevOptions,
): MemoryConversion {
  switch (technology) {
    case 'restricted-pool':
      return new SharedGranules(memory, pages, PAGE_SIZE);
    case 'pkvm':
      return new SharedGranules(memory, pages, granule, 1);
    case 'cca':
      return new RealmMemory(memory, pages, granule);
    default:
      return new EncryptedMemory(memory, pages, new MemoryEncryption(keys));
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
