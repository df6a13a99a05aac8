import type { GuestMemory } from '../memory/guest-memory.ts';
import { OrderedPackedRing } from './ordered-packed-ring.ts';
import { PackedRing } from './packed-ring.ts';

/** Opens the packed ring whose areas start at these bytes of guest memory, with the barrier that ORDER_PLATFORM needs, if any. */
export function openPackedRing(
  memory: GuestMemory,
  descriptor: number,
  driver: number,
  device: number,
  barrier: (() => void) | undefined,
): PackedRing {
  return barrier === undefined
    ? new PackedRing(memory, descriptor, driver, device)
    : new OrderedPackedRing(memory, descriptor, driver, device, barrier);
}
