import type { GuestMemory } from '../memory/guest-memory.ts';
import { BigEndianSplitRing } from './big-endian-split-ring.ts';
import type { ByteOrder } from './byte-order.ts';
import { LittleEndianSplitRing, type SplitRing } from './split-ring.ts';

/** Opens the available ring at byte `driver` and the used ring at byte `device` of guest memory, for a queue of `size`. */
export function openSplitRing(
  order: ByteOrder,
  memory: GuestMemory,
  driver: number,
  device: number,
  size: number,
): SplitRing {
  return order === 'little'
    ? new LittleEndianSplitRing(memory, driver, device, size)
    : new BigEndianSplitRing(memory, driver, device, size);
}
