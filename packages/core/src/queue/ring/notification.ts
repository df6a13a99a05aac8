/**
 * Tests the event index of either direction: whether the other end asked for a notification at an index in
 * (`previous`, `current`], where `event` is the index that it wrote. All three are free-running 16-bit indices.
 * Specification 1.4 section 2.7.7.2. Hot.
 */
export function needsNotification(event: number, current: number, previous: number): boolean {
  return ((current - event - 1) & 0xffff) < ((current - previous) & 0xffff);
}

/**
 * The value that a driver writes to send an available buffer notification (specification 1.4 section 2.9). The low half
 * identifies the queue: by its index, or with NOTIF_CONFIG_DATA by the number that the device gave it. With
 * NOTIFICATION_DATA the high half is `Virtqueue.nextAvailable`; without it, the high half is 0. Hot.
 */
export function notificationValue(identity: number, next: number, hasData: boolean): number {
  return hasData ? (identity | (next << 16)) >>> 0 : identity;
}

/** The queue that a notification value identifies, or -1 where it has a high half without NOTIFICATION_DATA. */
export function notifiedIdentity(value: number, hasData: boolean): number {
  return hasData ? value & 0xffff : value <= 0xffff ? value : -1;
}
