import type { FacilityToken, SimulatedHardware } from '@virtio-platform/core';
import { PAGE_SIZE, PageStates, type GuestMemory, type MemoryConversion } from '@virtio-platform/core/memory';
import type { SevOptions } from '../options.ts';
import { MEMORY_CONVERSION, REALM_FACILITY, type Realm } from '../sev-platform.ts';
import { RealmMemory } from './realm-memory.ts';
import { SharedGranules } from './shared-granules.ts';
import { EncryptedMemory, generateMemoryKeys, MemoryEncryption, type MemoryKeys } from './encrypted-memory.ts';
import { sevAddressSpace } from './sev-address-space.ts';

/**
 * Simulates the protection of a guest's memory, all of it private at first. It is a property of the memory, so every
 * device sees the memory the same way, with or without ACCESS_PLATFORM.
 */
export function simulateSev(memory: GuestMemory, options: SevOptions): SimulatedHardware {
  const { technology, ipaBits } = options;
  const keys = generateMemoryKeys();
  const pages = PageStates.create(memory.size);
  const alias = technology === 'cca' ? 2 ** (ipaBits - 1) : 0;
  const blueprint = sevAddressSpace({ pages: pages.buffer, keys, technology, alias });
  const facilities = new Map<FacilityToken, unknown>([[MEMORY_CONVERSION, protection(memory, pages, keys, options)]]);
  const realm: Realm = { ipaBits };
  if (technology === 'cca') facilities.set(REALM_FACILITY, realm);
  return { facilities, addressSpace: () => blueprint };
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
