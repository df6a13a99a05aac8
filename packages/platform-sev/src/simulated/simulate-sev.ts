import type { SimulatedHardware } from '@virtio-platform/core';
import { PAGE_SIZE, PageStates, type GuestMemory } from '@virtio-platform/core/memory';
import { MEMORY_CONVERSION } from '../memory-conversion.ts';
import type { SevOptions } from '../options.ts';
import { EncryptedMemory } from './encrypted-memory.ts';
import { generateMemoryKeys, MemoryEncryption } from './memory-encryption.ts';
import { PageAccess } from './page-access.ts';
import { RefusingConversion } from './refusing-conversion.ts';
import { sevAddressSpace } from './sev-address-space.ts';

/**
 * Protects a guest's memory, all of it private. Every device sees it the same way, whether it offers ACCESS_PLATFORM or not:
 * protection is a property of the memory and not of the device.
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
