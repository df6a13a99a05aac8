import { PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace, type FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** Opens a physical address space that counts its resets in the first word of `state`, which both threads share. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  const resets = new Uint32Array(state as SharedArrayBuffer);
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, faults, undefined);
  space.reset = () => void Atomics.add(resets, 0, 1);
  return space;
}

/** Opens one that throws when it is told of a reset. */
export function openThrowing(memory: GuestMemory, faults: FaultLog): DeviceAddressSpace {
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, faults, undefined);
  space.reset = () => {
    throw new TypeError('the back-end is gone');
  };
  return space;
}
