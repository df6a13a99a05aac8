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
