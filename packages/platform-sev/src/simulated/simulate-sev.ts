import { PageStates, type GuestMemory, type SimulatedHardware } from '@virtio-platform/core';
import { MEMORY_CONVERSION } from '../memory-conversion.ts';
import { EncryptedMemory } from './encrypted-memory.ts';
import { generateMemoryKeys, MemoryEncryption } from './memory-encryption.ts';
import { sevAddressSpace } from './sev-address-space.ts';

/**
 * Encrypts a guest's memory, all of it private. Every device sees it the same way, whether it offers ACCESS_PLATFORM or not:
 * encryption is a property of the memory and not of the device.
 */
export function simulateSev(memory: GuestMemory): SimulatedHardware {
  const keys = generateMemoryKeys();
  const pages = PageStates.create(memory.size);
  const conversion = new EncryptedMemory(memory, pages, new MemoryEncryption(keys));
  const blueprint = sevAddressSpace({ pages: pages.buffer, keys });
  return { facilities: new Map([[MEMORY_CONVERSION, conversion]]), addressSpace: () => blueprint };
}
