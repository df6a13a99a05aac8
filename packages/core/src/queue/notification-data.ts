/**
 * What a driver writes to send an available buffer notification (specification 1.4 section 2.9). The low half tells the queue:
 * its index, or with NOTIF_CONFIG_DATA whatever the device named it. With NOTIFICATION_DATA the high half is
 * `Virtqueue.nextAvailable`; without, it is 0. Hot.
 */
export function notificationValue(identity: number, next: number, hasData: boolean): number {
  return hasData ? (identity | (next << 16)) >>> 0 : identity;
}

/** Which queue such a value tells, or -1 where it has a high half that was not negotiated. */
export function notifiedIdentity(value: number, hasData: boolean): number {
  return hasData ? value & 0xffff : value <= 0xffff ? value : -1;
}
