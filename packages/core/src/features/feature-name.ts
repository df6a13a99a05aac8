import { EXPERIMENTAL_BITS, type ExperimentalBits } from './experimental-bits.ts';
import * as bits from './feature-bit.ts';

const NO_TRANSLATION = 'ACCESS_PLATFORM_NO_TRANSLATION';
const IDENTITY_ADDRESS = 'ACCESS_PLATFORM_IDENTITY_ADDRESS';

const RESERVED: ReadonlyMap<number, string> = new Map([
  [bits.VIRTIO_F_NOTIFY_ON_EMPTY, 'NOTIFY_ON_EMPTY'],
  [bits.VIRTIO_F_ANY_LAYOUT, 'ANY_LAYOUT'],
  [bits.VIRTIO_RING_F_INDIRECT_DESC, 'RING_INDIRECT_DESC'],
  [bits.VIRTIO_RING_F_EVENT_IDX, 'RING_EVENT_IDX'],
  [bits.VIRTIO_F_VERSION_1, 'VERSION_1'],
  [bits.VIRTIO_F_ACCESS_PLATFORM, 'ACCESS_PLATFORM'],
  [bits.VIRTIO_F_RING_PACKED, 'RING_PACKED'],
  [bits.VIRTIO_F_IN_ORDER, 'IN_ORDER'],
  [bits.VIRTIO_F_ORDER_PLATFORM, 'ORDER_PLATFORM'],
  [bits.VIRTIO_F_SR_IOV, 'SR_IOV'],
  [bits.VIRTIO_F_NOTIFICATION_DATA, 'NOTIFICATION_DATA'],
  [bits.VIRTIO_F_NOTIF_CONFIG_DATA, 'NOTIF_CONFIG_DATA'],
  [bits.VIRTIO_F_RING_RESET, 'RING_RESET'],
  [bits.VIRTIO_F_ADMIN_VQ, 'ADMIN_VQ'],
  [bits.VIRTIO_F_SUSPEND, 'SUSPEND'],
]);

const DEVICE: Readonly<Record<string, ReadonlyMap<number, string>>> = {
  block: new Map([
    [bits.VIRTIO_BLK_F_SIZE_MAX, 'BLK_SIZE_MAX'],
    [bits.VIRTIO_BLK_F_SEG_MAX, 'BLK_SEG_MAX'],
    [bits.VIRTIO_BLK_F_GEOMETRY, 'BLK_GEOMETRY'],
    [bits.VIRTIO_BLK_F_RO, 'BLK_RO'],
    [bits.VIRTIO_BLK_F_BLK_SIZE, 'BLK_BLK_SIZE'],
    [bits.VIRTIO_BLK_F_SCSI, 'BLK_SCSI'],
    [bits.VIRTIO_BLK_F_FLUSH, 'BLK_FLUSH'],
    [bits.VIRTIO_BLK_F_TOPOLOGY, 'BLK_TOPOLOGY'],
    [bits.VIRTIO_BLK_F_CONFIG_WCE, 'BLK_CONFIG_WCE'],
    [bits.VIRTIO_BLK_F_MQ, 'BLK_MQ'],
    [bits.VIRTIO_BLK_F_DISCARD, 'BLK_DISCARD'],
    [bits.VIRTIO_BLK_F_WRITE_ZEROES, 'BLK_WRITE_ZEROES'],
  ]),
  net: new Map([
    [bits.VIRTIO_NET_F_CSUM, 'NET_CSUM'],
    [bits.VIRTIO_NET_F_GUEST_CSUM, 'NET_GUEST_CSUM'],
    [bits.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 'NET_CTRL_GUEST_OFFLOADS'],
    [bits.VIRTIO_NET_F_MTU, 'NET_MTU'],
    [bits.VIRTIO_NET_F_MAC, 'NET_MAC'],
    [bits.VIRTIO_NET_F_GSO, 'NET_GSO'],
    [bits.VIRTIO_NET_F_GUEST_TSO4, 'NET_GUEST_TSO4'],
    [bits.VIRTIO_NET_F_GUEST_TSO6, 'NET_GUEST_TSO6'],
    [bits.VIRTIO_NET_F_GUEST_ECN, 'NET_GUEST_ECN'],
    [bits.VIRTIO_NET_F_GUEST_UFO, 'NET_GUEST_UFO'],
    [bits.VIRTIO_NET_F_HOST_TSO4, 'NET_HOST_TSO4'],
    [bits.VIRTIO_NET_F_HOST_TSO6, 'NET_HOST_TSO6'],
    [bits.VIRTIO_NET_F_HOST_ECN, 'NET_HOST_ECN'],
    [bits.VIRTIO_NET_F_HOST_UFO, 'NET_HOST_UFO'],
    [bits.VIRTIO_NET_F_MRG_RXBUF, 'NET_MRG_RXBUF'],
    [bits.VIRTIO_NET_F_STATUS, 'NET_STATUS'],
    [bits.VIRTIO_NET_F_CTRL_VQ, 'NET_CTRL_VQ'],
    [bits.VIRTIO_NET_F_CTRL_RX, 'NET_CTRL_RX'],
    [bits.VIRTIO_NET_F_CTRL_VLAN, 'NET_CTRL_VLAN'],
    [bits.VIRTIO_NET_F_CTRL_RX_EXTRA, 'NET_CTRL_RX_EXTRA'],
    [bits.VIRTIO_NET_F_GUEST_ANNOUNCE, 'NET_GUEST_ANNOUNCE'],
    [bits.VIRTIO_NET_F_MQ, 'NET_MQ'],
    [bits.VIRTIO_NET_F_CTRL_MAC_ADDR, 'NET_CTRL_MAC_ADDR'],
    [bits.VIRTIO_NET_F_HASH_TUNNEL, 'NET_HASH_TUNNEL'],
    [bits.VIRTIO_NET_F_VQ_NOTF_COAL, 'NET_VQ_NOTF_COAL'],
    [bits.VIRTIO_NET_F_NOTF_COAL, 'NET_NOTF_COAL'],
    [bits.VIRTIO_NET_F_GUEST_USO4, 'NET_GUEST_USO4'],
    [bits.VIRTIO_NET_F_GUEST_USO6, 'NET_GUEST_USO6'],
    [bits.VIRTIO_NET_F_HOST_USO, 'NET_HOST_USO'],
    [bits.VIRTIO_NET_F_HASH_REPORT, 'NET_HASH_REPORT'],
    [bits.VIRTIO_NET_F_GUEST_HDRLEN, 'NET_GUEST_HDRLEN'],
    [bits.VIRTIO_NET_F_RSS, 'NET_RSS'],
    [bits.VIRTIO_NET_F_RSC_EXT, 'NET_RSC_EXT'],
    [bits.VIRTIO_NET_F_STANDBY, 'NET_STANDBY'],
    [bits.VIRTIO_NET_F_SPEED_DUPLEX, 'NET_SPEED_DUPLEX'],
    [bits.VIRTIO_NET_F_RSS_CONTEXT, 'NET_RSS_CONTEXT'],
    [bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO, 'NET_GUEST_UDP_TUNNEL_GSO'],
    [bits.VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM, 'NET_GUEST_UDP_TUNNEL_GSO_CSUM'],
    [bits.VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO, 'NET_HOST_UDP_TUNNEL_GSO'],
    [bits.VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM, 'NET_HOST_UDP_TUNNEL_GSO_CSUM'],
  ]),
  console: new Map([
    [bits.VIRTIO_CONSOLE_F_SIZE, 'CONSOLE_SIZE'],
    [bits.VIRTIO_CONSOLE_F_MULTIPORT, 'CONSOLE_MULTIPORT'],
    [bits.VIRTIO_CONSOLE_F_EMERG_WRITE, 'CONSOLE_EMERG_WRITE'],
  ]),
  entropy: new Map(),
};

/** Names a feature bit as profiles and reports write it; a bit nobody named is `BIT_<n>`. */
export function featureName(
  bit: number,
  deviceType: string,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): string {
  return experimentalNames(experimental).get(bit) ?? RESERVED.get(bit) ?? DEVICE[deviceType]?.get(bit) ?? `BIT_${bit}`;
}

/** Finds the bit of a name written in a profile, or `undefined`. `BIT_<n>` names any bit from 0 to 127. */
export function featureBit(
  name: string,
  deviceType: string,
  experimental: ExperimentalBits = EXPERIMENTAL_BITS,
): number | undefined {
  for (const table of [experimentalNames(experimental), RESERVED, DEVICE[deviceType]]) {
    for (const [bit, known] of table ?? []) if (known === name) return bit;
  }
  const numbered = /^BIT_(\d{1,3})$/.exec(name);
  const bit = numbered === null ? NaN : Number(numbered[1]);
  return bit <= 127 ? bit : undefined;
}

/** Every name a profile may write for a device of this type, in bit order. */
export function featureNames(deviceType: string): string[] {
  const tables = [...(DEVICE[deviceType] ?? []), ...RESERVED, ...experimentalNames(EXPERIMENTAL_BITS)];
  return tables.toSorted(([a], [b]) => a - b).map(([, name]) => name);
}

/** The device types whose feature names are known. */
export const DEVICE_TYPES: readonly string[] = Object.keys(DEVICE);

function experimentalNames({ noTranslation, identityAddress }: ExperimentalBits): ReadonlyMap<number, string> {
  return new Map([
    [noTranslation, NO_TRANSLATION],
    [identityAddress, IDENTITY_ADDRESS],
  ]);
}
