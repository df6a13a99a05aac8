import { FeatureSet } from '../../features/feature-set.ts';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_ORDER_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../../features/feature-bit.ts';

/**
 * The layout of a ring: packed where RING_PACKED was negotiated, split otherwise. Specification 1.4 sections 2.7, 2.8.
 */
export type QueueLayout = 'split' | 'packed';

/**
 * The byte order of ring fields: little-endian on the modern interface, the guest's own on the legacy one. Section
 * 2.7.3.
 */
export type ByteOrder = 'little' | 'big';

/**
 * The addresses of a queue's three areas, as device addresses; the driver passes them to the device over the transport.
 */
export interface QueueAddresses {
  /** Entries of the queue. */
  readonly size: number;
  /** Low and high word of the descriptor, driver and device area, in this order: six words. */
  readonly words: Uint32Array;
}

/**
 * The ring features that both ends here implement, whatever the device type.
 *
 * ORDER_PLATFORM (specification 1.4 section 6) asks for memory barriers that suit the devices of the platform. The
 * rings access each field whose order matters with `Atomics`. These accesses are sequentially consistent, which is the
 * order that the other end needs where it is a processor of the same coherent memory, so a ring is the same with and
 * without the feature.
 */
export const RING_FEATURES: FeatureSet = FeatureSet.of(
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_ORDER_PLATFORM,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_RING_RESET,
);

/** Reverses the bytes of a 16-bit value. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** Reverses the bytes of a 32-bit value. */
export function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
