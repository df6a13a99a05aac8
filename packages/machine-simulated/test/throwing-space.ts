import { PHYSICAL_ADDRESS_SPACE, type FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** What the space says when it is asked to read a buffer. */
export const MESSAGE = 'the table of the platform is torn';

/** Opens a physical address space with a mistake: it throws where a device reads as many bytes as `state` says. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, faults, undefined);
  const read = space.read.bind(space);
  space.read = (low, high, target, at, length) => {
    if (length === state) throw new TypeError(MESSAGE);
    return read(low, high, target, at, length);
  };
  return space;
}
