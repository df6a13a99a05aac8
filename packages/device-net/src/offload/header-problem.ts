import * as wire from '../layout.ts';
import type { Offload } from './net-header.ts';
import type { OffloadSet } from './offload-set.ts';
import { IP_TCP, IP_UDP, type PacketLayers } from './packet-layers.ts';

/** Where the checksum field is in a TCP and in a UDP header. */
export const TCP_CHECKSUM = 16;
/** See {@link TCP_CHECKSUM}. */
export const UDP_CHECKSUM = 6;
/** Most datagrams of one packet, as Linux has it (UDP_MAX_SEGMENTS). */
export const MOST_DATAGRAMS = 128;
/** The `gso_size` that the kernel of Linux keeps for itself (GSO_BY_FRAGS). */
const RESERVED_SIZE = 0xffff;

/** What can be wrong with a header in front of a packet. */
export type HeaderProblem =
  | 'checksum-not-negotiated'
  | 'checksum-outside'
  | 'header-length'
  | 'gso-not-negotiated'
  | 'gso-size'
  | 'gso-without-checksum'
  | 'gso-protocol';

/**
 * Checks the header of a packet against what was negotiated and against the packet, as `virtio_net_hdr_to_skb` of Linux
 * does: a checksum field inside of the packet; a `gso_type` that was negotiated, that the packet is of, and that comes
 * with NEEDS_CSUM and a size (specification 1.4 section 5.1.6.2.1 and 5.1.6.4.1). `layers` are those of the packet.
 * Unknown bits of `flags` are ignored (5.1.6.2.2). Hot: no allocation.
 */
export function headerProblem(
  offload: Offload,
  length: number,
  layers: PacketLayers,
  agreed: OffloadSet,
): HeaderProblem | undefined {
  const { flags, gsoType, headerLength, gsoSize, checksumStart, checksumOffset } = offload;
  if (headerLength > length) return 'header-length';
  const isPartial = (flags & wire.VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
  if (isPartial && !agreed.checksum) return 'checksum-not-negotiated';
  if (isPartial && checksumStart + checksumOffset + 2 > length) return 'checksum-outside';
  if (gsoType === wire.VIRTIO_NET_HDR_GSO_NONE) return undefined;
  if (!isAgreed(gsoType, layers, agreed)) return 'gso-not-negotiated';
  if (gsoSize === 0 || gsoSize === RESERVED_SIZE) return 'gso-size';
  if (!isPartial) return 'gso-without-checksum';
  const isTcp = (gsoType & ~wire.VIRTIO_NET_HDR_GSO_ECN) !== wire.VIRTIO_NET_HDR_GSO_UDP_L4;
  const version = gsoType === wire.VIRTIO_NET_HDR_GSO_UDP_L4 ? layers.version : versionOf(gsoType);
  if (layers.version !== version || layers.protocol !== (isTcp ? IP_TCP : IP_UDP)) return 'gso-protocol';
  if (checksumStart !== layers.transport || checksumOffset !== (isTcp ? TCP_CHECKSUM : UDP_CHECKSUM))
    return 'gso-protocol';
  if (!isTcp && length - layers.payload > gsoSize * MOST_DATAGRAMS) return 'gso-size';
  return undefined;
}

/** The IP version of a `gso_type` of TCP. */
function versionOf(gsoType: number): number {
  return (gsoType & ~wire.VIRTIO_NET_HDR_GSO_ECN) === wire.VIRTIO_NET_HDR_GSO_TCPV4 ? 4 : 6;
}

function isAgreed(gsoType: number, { version }: PacketLayers, { tso4, tso6, ecn, uso4, uso6 }: OffloadSet): boolean {
  switch (gsoType) {
    case wire.VIRTIO_NET_HDR_GSO_TCPV4:
      return tso4;
    case wire.VIRTIO_NET_HDR_GSO_TCPV6:
      return tso6;
    case wire.VIRTIO_NET_HDR_GSO_TCPV4 | wire.VIRTIO_NET_HDR_GSO_ECN:
      return tso4 && ecn;
    case wire.VIRTIO_NET_HDR_GSO_TCPV6 | wire.VIRTIO_NET_HDR_GSO_ECN:
      return tso6 && ecn;
    case wire.VIRTIO_NET_HDR_GSO_UDP_L4:
      return version === 4 ? uso4 : uso6;
    default:
      return false;
  }
}
