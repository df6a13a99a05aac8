import type { DeviceAddressSpace } from './device-address-space.ts';

/**
 * Finds out whether a device reaches all of guest memory at its physical addresses, to read and to write: what a guest that
 * accepts identity-address promises, looked at from the device. What is not so is a fault in the log of `space`.
 */
export function coversMemoryOneToOne(space: DeviceAddressSpace): boolean {
  const { size } = space.memory;
  return space.borrow(0, 0, size, 'read') === 0 && space.borrow(0, 0, size, 'write') === 0;
}
