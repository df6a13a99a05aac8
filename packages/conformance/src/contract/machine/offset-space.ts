import {
  TranslatedAddressSpace,
  type AddressSpaceBlueprint,
  type AddressTranslation,
  type DeviceAddressSpace,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** High word of the device address of guest-physical address 0. */
const HIGH_WORD = 256;

/** What the device of a machine under test sees: guest memory at 2^40, and nothing else. */
export const OFFSET: bigint = 2n ** 40n;

/** Guest memory at {@link OFFSET}. */
class OffsetTranslation implements AddressTranslation {
  readonly generation = 0;
  readonly cause = 'outside-window';
  run = 1;
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  translate(low: number, high: number): number {
    const isInside = high === HIGH_WORD && low < this.#size;
    this.run = isInside ? this.#size - low : 1;
    return isInside ? low : -1;
  }
}

/** Opens the address space, in this thread or in the device's. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog): DeviceAddressSpace {
  return new TranslatedAddressSpace(memory, faults, new OffsetTranslation(memory.size));
}

/** The address space of the device of a machine under test. */
export const OFFSET_ADDRESS_SPACE: AddressSpaceBlueprint = {
  module: import.meta.url,
  state: undefined,
  open: openAddressSpace,
};
