import type { Transport } from '@virtio-platform/core/device';
import {
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_STATUS,
  type FeatureSet,
} from '@virtio-platform/core/features';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { ConfigFields } from '../config-fields.ts';
import { NET_CONFIG, NET_MAX_QUEUE_PAIRS, VIRTIO_NET_S_LINK_UP } from './layout.ts';

/** What a network driver has to know of its device; fields without their feature have defaults. */
export interface NetConfig {
  /** Six bytes in hexadecimal; `undefined` where the device has no address. */
  readonly mac: string | undefined;
  readonly isLinkUp: boolean;
  /** Pairs of queues that the driver uses: no more than the device has queues for, whatever it says. */
  readonly queuePairs: number;
  /** Index of the control queue, or -1. */
  readonly controlQueue: number;
}

/** Reads the configuration of a network device and believes none of it unchecked. Specification 1.4 section 5.1.4. */
export function readNetConfig(transport: Transport, accepted: FeatureSet, byteOrder: ByteOrder): NetConfig {
  const fields = new ConfigFields(transport, accepted, byteOrder);
  const mac = fields.bytes(NET_CONFIG.mac, 6, VIRTIO_NET_F_MAC);
  const status = fields.u16(NET_CONFIG.status, VIRTIO_NET_F_STATUS, VIRTIO_NET_S_LINK_UP);
  const told = fields.u16(NET_CONFIG.maxQueuePairs, VIRTIO_NET_F_MQ, 1);
  const most = (transport.queueCount - (accepted.has(VIRTIO_NET_F_CTRL_VQ) ? 1 : 0)) >> 1;
  // The place of the control queue follows from what the device says, so a number it has no queues for is of no use at
  // all.
  const isSound = told >= 1 && told <= most;
  const existing = isSound ? told : 1;
  return {
    mac: mac && Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':'),
    isLinkUp: (status & VIRTIO_NET_S_LINK_UP) !== 0,
    queuePairs: Math.min(existing, NET_MAX_QUEUE_PAIRS),
    controlQueue: accepted.has(VIRTIO_NET_F_CTRL_VQ) && isSound ? 2 * existing : -1,
  };
}
