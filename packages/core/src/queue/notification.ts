import { RING_EVENT_FLAGS_DESC, RING_EVENT_FLAGS_DISABLE } from './packed-layout.ts';

/**
 * The event-index test of both directions: whether the other side asked to be told about an index in
 * (`previous`, `current`], where `event` is what it wrote. All are free-running 16-bit indices. Specification 1.4 section 2.7.7.2.
 */
export function needsNotification(event: number, current: number, previous: number): boolean {
  return ((current - event - 1) & 0xffff) < ((current - previous) & 0xffff);
}

/** avail.flags: the driver does not want used buffer notifications. Section 2.7.6. */
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;
/** used.flags: the device does not want available buffer notifications. Section 2.7.8. */
export const VIRTQ_USED_F_NO_NOTIFY = 1;

/**
 * The same test for a packed ring: whether the other side, which wrote the event suppression structure `event` (position in the
 * low half, flags in the high one), asked to be told. `position` is where this side stands after `moved` slots, and reserved
 * flags count as "always". Specification 1.4 section 2.8.10.
 */
export function packedNeedsNotification(
  event: number,
  position: number,
  moved: number,
  size: number,
  eventIdx: boolean,
): boolean {
  const flags = (event >>> 16) & 3;
  if (flags === RING_EVENT_FLAGS_DISABLE) return false;
  if (flags !== RING_EVENT_FLAGS_DESC || !eventIdx) return true;
  const slot = position & 0x7fff;
  const isOfThisLap = ((event ^ position) & 0x8000) === 0;
  const eventSlot = (event & 0x7fff) - (isOfThisLap ? 0 : size);
  return needsNotification(eventSlot, slot, slot - moved);
}
