import type { ConfigTable, NegotiatedDevice } from '@virtio-platform/core';
import { ConfigFields } from '@virtio-platform/device-kit';
import { NET_MAX_QUEUE_PAIRS, VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP } from './layout.ts';
import * as feature from './net-features.ts';
import { macText } from './net-settings.ts';
import { NET_HASH_KEY_BYTES, NET_HASH_TYPES } from './receive-side-scaling/frame-hash.ts';
import { NET_LONGEST_TABLE } from './receive-side-scaling/scaling-config.ts';

/** The names of the fields of the configuration space. */
export type NetField =
  | 'mac'
  | 'status'
  | 'max_virtqueue_pairs'
  | 'mtu'
  | 'speed'
  | 'duplex'
  | 'rss_max_key_size'
  | 'rss_max_indirection_table_length'
  | 'supported_hash_types';

/** The fields of the configuration space. Specification 1.4 section 5.1.4. */
export const NET_CONFIG: ConfigTable<NetField> = {
  mac: { offset: 0, width: 6, feature: feature.VIRTIO_NET_F_MAC },
  status: { offset: 6, width: 2, feature: feature.VIRTIO_NET_F_STATUS },
  max_virtqueue_pairs: { offset: 8, width: 2, feature: [feature.VIRTIO_NET_F_MQ, feature.VIRTIO_NET_F_RSS] },
  mtu: { offset: 10, width: 2, feature: feature.VIRTIO_NET_F_MTU },
  speed: { offset: 12, width: 4, feature: feature.VIRTIO_NET_F_SPEED_DUPLEX },
  duplex: { offset: 16, width: 1, feature: feature.VIRTIO_NET_F_SPEED_DUPLEX },
  rss_max_key_size: { offset: 17, width: 1, feature: [feature.VIRTIO_NET_F_RSS, feature.VIRTIO_NET_F_HASH_REPORT] },
  rss_max_indirection_table_length: { offset: 18, width: 2, feature: feature.VIRTIO_NET_F_RSS },
  supported_hash_types: { offset: 20, width: 4, feature: [feature.VIRTIO_NET_F_RSS, feature.VIRTIO_NET_F_HASH_REPORT] },
};

/** What a network driver has to know of its device; fields without their feature have defaults. */
export interface NetConfig {
  /** Six bytes in hexadecimal; `undefined` where the device has no address. */
  readonly mac: string | undefined;
  readonly isLinkUp: boolean;
  /** Whether the device asks its driver to announce itself. */
  readonly isAnnounceAsked: boolean;
  /** Pairs of queues that the driver uses: no more than the device has queues for, whatever it says. */
  readonly queuePairs: number;
  /** Index of the control queue, or -1. */
  readonly controlQueue: number;
  /** Bytes of the longest IP packet; `undefined` where the device does not say, or says less than 68. */
  readonly mtu: number | undefined;
  /** Mbit/s; `undefined` where that is not known. */
  readonly speed: number | undefined;
  /** `undefined` where that is not known. */
  readonly duplex: 'half' | 'full' | undefined;
  /** Bytes of the longest hash key, entries of the longest indirection table, and the hash types; 0 for none. */
  readonly longestKey: number;
  /** See {@link longestKey}. */
  readonly longestTable: number;
  /** See {@link longestKey}. */
  readonly hashTypes: number;
}

/** The least MTU (section 5.1.4.1). */
const LEAST_MTU = 68;
/** The greatest speed that is one (section 5.1.4.1): 0xffffffff is an unknown one. */
const MOST_SPEED = 0x7fff_ffff;

/** Reads the configuration of a network device and checks it. Specification 1.4 section 5.1.4. */
export function readNetConfig(device: NegotiatedDevice): NetConfig {
  const { transport, accepted } = device;
  const fields = new ConfigFields(device);
  const mac = fields.bytes(NET_CONFIG.mac);
  const status = fields.number(NET_CONFIG.status, VIRTIO_NET_S_LINK_UP);
  const hasControl = accepted.has(feature.VIRTIO_NET_F_CTRL_VQ);
  const told = fields.number(NET_CONFIG.max_virtqueue_pairs, 1);
  const most = (transport.queueCount - (hasControl ? 1 : 0)) >> 1;
  // The place of the control queue follows from what the device says, so a number it has no queues for is of no use at
  // all.
  const isSound = told >= 1 && told <= most;
  const existing = isSound ? told : 1;
  const mtu = fields.number(NET_CONFIG.mtu, 0);
  const speed = fields.number(NET_CONFIG.speed, MOST_SPEED + 1);
  const duplex = fields.number(NET_CONFIG.duplex, 2);
  return {
    mac: mac && macText(mac),
    isLinkUp: (status & VIRTIO_NET_S_LINK_UP) !== 0,
    isAnnounceAsked: accepted.has(feature.VIRTIO_NET_F_GUEST_ANNOUNCE) && (status & VIRTIO_NET_S_ANNOUNCE) !== 0,
    queuePairs: Math.min(existing, NET_MAX_QUEUE_PAIRS),
    controlQueue: hasControl && isSound ? 2 * existing : -1,
    mtu: mtu >= LEAST_MTU ? mtu : undefined,
    speed: speed <= MOST_SPEED ? speed : undefined,
    duplex: duplex > 1 ? undefined : duplex === 1 ? 'full' : 'half',
    longestKey: Math.min(fields.number(NET_CONFIG.rss_max_key_size, 0), NET_HASH_KEY_BYTES),
    longestTable: Math.min(fields.number(NET_CONFIG.rss_max_indirection_table_length, 0), NET_LONGEST_TABLE),
    hashTypes: fields.number(NET_CONFIG.supported_hash_types, 0) & NET_HASH_TYPES,
  };
}
