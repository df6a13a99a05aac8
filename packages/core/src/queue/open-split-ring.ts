import type { GuestMemory } from '../memory/guest-memory.ts';
import { BigEndianSplitRing } from './big-endian-split-ring.ts';
import type { ByteOrder } from './byte-order.ts';
import { OrderedSplitRing } from './ordered-split-ring.ts';
import { LittleEndianSplitRing, type SplitRing } from './split-ring.ts';

/**
 * Opens the available ring at byte `driver` and the used ring at byte `device` of guest memory, for a queue of `size`, with the
 * barrier that ORDER_PLATFORM needs, if any.
 */
export function openSplitRing(
  order: ByteOrder,
  memory: GuestMemory,
  driver: number,
  device: number,
  size: number,
  barrier?: () => void,
): SplitRing {
  const ring =
    order === 'little'
      ? new LittleEndianSplitRing(memory, driver, device, size)
      : new BigEndianSplitRing(memory, driver, device, size);
  return barrier === undefined ? ring : new OrderedSplitRing(ring, barrier);
}
