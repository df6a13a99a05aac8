import type { GuestMemory } from '../memory/guest-memory.ts';
import type { AddressSpaceBlueprint, DeviceAddressSpace } from './device-address-space.ts';
import type { DeviceAccess, FaultCause, FaultLog } from './fault-log.ts';
import { TranslatedAddressSpace, type AddressTranslation } from './translated-address-space.ts';
/**
 * Device addresses are guest-physical addresses, and all of guest memory is reachable: no IOMMU, or a device that
 * ignores it.
 */
export class PhysicalTranslation implements AddressTranslation {
  readonly generation = 0;
  readonly cause: FaultCause = 'outside-memory';
  run = 0;
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  translate(low: number, high: number, _access: DeviceAccess): number {
    const address = high * 0x1_0000_0000 + low;
    this.run = this.#size - address;
    return this.run > 0 ? address : -1;
  }
}

/** Opens the address space of a device without an IOMMU, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog): DeviceAddressSpace {
  return new TranslatedAddressSpace(memory, faults, new PhysicalTranslation(memory.size));
}

/** The address space of a device that does not offer ACCESS_PLATFORM, or that has no IOMMU in front of it. */
export const PHYSICAL_ADDRESS_SPACE: AddressSpaceBlueprint = {
  module: import.meta.url,
  state: undefined,
  open: openAddressSpace,
};

/**
 * Whether a device reaches all of guest memory at its physical addresses, to read and to write. A guest that accepts
 * identity addresses promises this; the check looks from the device's side. An address that differs is a fault in the
 * log of `space`.
 */
export function coversMemoryOneToOne(space: DeviceAddressSpace): boolean {
  const { size } = space.memory;
  return space.borrow(0, 0, size, 'read') === 0 && space.borrow(0, 0, size, 'write') === 0;
}
