import { copyBytes } from '@virtio-platform/core/address-space';
import { IP_TCP, IP_UDP, type PacketLayers } from '../offload/packet-layers.ts';
import { toeplitz } from './toeplitz.ts';

/** Hash types, as bits of `hash_types`. Section 5.1.6.4.3.1. */
export const VIRTIO_NET_HASH_TYPE_IPV4 = 1;
/** See {@link VIRTIO_NET_HASH_TYPE_IPV4}. */
export const VIRTIO_NET_HASH_TYPE_TCPV4 = 2;
/** See {@link VIRTIO_NET_HASH_TYPE_IPV4}. */
export const VIRTIO_NET_HASH_TYPE_UDPV4 = 4;
/** See {@link VIRTIO_NET_HASH_TYPE_IPV4}. */
export const VIRTIO_NET_HASH_TYPE_IPV6 = 8;
/** See {@link VIRTIO_NET_HASH_TYPE_IPV4}. */
export const VIRTIO_NET_HASH_TYPE_TCPV6 = 16;
/** See {@link VIRTIO_NET_HASH_TYPE_IPV4}. */
export const VIRTIO_NET_HASH_TYPE_UDPV6 = 32;
/** The hash types of both halves: those of IPv6 extension headers are not among them. */
export const NET_HASH_TYPES = 0x3f;
/** Bytes of the longest key. */
export const NET_HASH_KEY_BYTES = 40;

/** Values of `hash_report`. Section 5.1.6.4.4. */
export const VIRTIO_NET_HASH_REPORT_NONE = 0;
/** See {@link VIRTIO_NET_HASH_REPORT_NONE}. */
export const VIRTIO_NET_HASH_REPORT_IPV4 = 1;
/** See {@link VIRTIO_NET_HASH_REPORT_NONE}. */
export const VIRTIO_NET_HASH_REPORT_TCPV4 = 2;
/** See {@link VIRTIO_NET_HASH_REPORT_NONE}. */
export const VIRTIO_NET_HASH_REPORT_UDPV4 = 3;
/** See {@link VIRTIO_NET_HASH_REPORT_NONE}. */
export const VIRTIO_NET_HASH_REPORT_IPV6 = 4;
/** See {@link VIRTIO_NET_HASH_REPORT_NONE}. */
export const VIRTIO_NET_HASH_REPORT_TCPV6 = 5;
/** See {@link VIRTIO_NET_HASH_REPORT_NONE}. */
export const VIRTIO_NET_HASH_REPORT_UDPV6 = 6;

/** Two IPv6 addresses and two ports. */
const LONGEST_INPUT = 36;

/** The hash of a frame over addresses, and ports where the hash types have them. Hot: no allocation. */
export class FrameHash {
  /** The hash of the frame that {@link of} was given last; 0 for none. */
  value = 0;
  /** The type of hash, as `hash_report` has it. */
  report: number = VIRTIO_NET_HASH_REPORT_NONE;
  readonly #input: Uint8Array = new Uint8Array(LONGEST_INPUT);

  /**
   * Hashes a frame by the first type of `types` that fits, ports first. A frame that none fits has no hash.
   */
  of(frame: Uint8Array, layers: PacketLayers, types: number, key: Uint8Array): void {
    this.value = 0;
    this.report = reportOf(layers, types);
    if (this.report === VIRTIO_NET_HASH_REPORT_NONE) return;
    const isIpv4 = layers.version === 4;
    const addresses = isIpv4 ? 8 : 32;
    const withPorts = this.report !== VIRTIO_NET_HASH_REPORT_IPV4 && this.report !== VIRTIO_NET_HASH_REPORT_IPV6;
    copyBytes(this.#input, 0, frame, layers.network + (isIpv4 ? 12 : 8), addresses);
    if (withPorts) copyBytes(this.#input, addresses, frame, layers.transport, 4);
    this.value = toeplitz(key, this.#input, addresses + (withPorts ? 4 : 0));
  }
}

/** The kind of hash that a frame gets (section 5.1.6.4.3.2 and 5.1.6.4.3.3). */
function reportOf({ version, protocol }: PacketLayers, types: number): number {
  if (version === 4) {
    if (protocol === IP_TCP && (types & VIRTIO_NET_HASH_TYPE_TCPV4) !== 0) return VIRTIO_NET_HASH_REPORT_TCPV4;
    if (protocol === IP_UDP && (types & VIRTIO_NET_HASH_TYPE_UDPV4) !== 0) return VIRTIO_NET_HASH_REPORT_UDPV4;
    return (types & VIRTIO_NET_HASH_TYPE_IPV4) !== 0 ? VIRTIO_NET_HASH_REPORT_IPV4 : VIRTIO_NET_HASH_REPORT_NONE;
  }
  if (version !== 6) return VIRTIO_NET_HASH_REPORT_NONE;
  if (protocol === IP_TCP && (types & VIRTIO_NET_HASH_TYPE_TCPV6) !== 0) return VIRTIO_NET_HASH_REPORT_TCPV6;
  if (protocol === IP_UDP && (types & VIRTIO_NET_HASH_TYPE_UDPV6) !== 0) return VIRTIO_NET_HASH_REPORT_UDPV6;
  return (types & VIRTIO_NET_HASH_TYPE_IPV6) !== 0 ? VIRTIO_NET_HASH_REPORT_IPV6 : VIRTIO_NET_HASH_REPORT_NONE;
}
