import { PHYSICAL_ADDRESS_SPACE, type FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** Opens a physical address space whose first read ends the thread, by an error that nothing catches or by an exit. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, how: unknown): DeviceAddressSpace {
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, faults, undefined);
  space.read = () => {
    if (how === 'exits') process.exit(3);
    // The device cannot even record what happened.
    Object.defineProperty(space, 'faults', {
      get() {
        throw new RangeError('a throwing exit');
      },
    });
    return false;
  };
  return space;
}
