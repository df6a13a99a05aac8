import * as wire from './layout.ts';

/** The names of request types that have a place on the disk, and whether their place is in ranges of their own. */
const PLACED: Readonly<Record<number, string>> = {
  [wire.VIRTIO_BLK_T_IN]: 'read',
  [wire.VIRTIO_BLK_T_OUT]: 'write',
};
const OTHERS: Readonly<Record<number, string>> = {
  [wire.VIRTIO_BLK_T_DISCARD]: 'discard',
  [wire.VIRTIO_BLK_T_WRITE_ZEROES]: 'write zeroes',
  [wire.VIRTIO_BLK_T_SECURE_ERASE]: 'secure erase',
  [wire.VIRTIO_BLK_T_FLUSH]: 'flush',
  [wire.VIRTIO_BLK_T_GET_ID]: 'get id',
  [wire.VIRTIO_BLK_T_GET_LIFETIME]: 'get lifetime',
};

/** The name of a request type: `read`, `secure erase`. */
export function nameOfType(type: number): string {
  return PLACED[type] ?? OTHERS[type] ?? `request of type ${type}`;
}

/** A request and its place: `read of sector 312`, `flush`. */
export function nameOfRequest(type: number, sector: number): string {
  return PLACED[type] === undefined ? nameOfType(type) : `${PLACED[type]} of sector ${sector}`;
}
