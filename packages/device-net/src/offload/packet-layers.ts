import { ETHERNET_HEADER, VLAN_TAG } from '../layout.ts';

/** Ethernet types. */
export const ETHERTYPE_IPV4 = 0x0800;
/** See {@link ETHERTYPE_IPV4}. */
export const ETHERTYPE_IPV6 = 0x86dd;
/** A VLAN tag: two bytes of tag control follow, and another type. IEEE 802.1Q. */
export const ETHERTYPE_VLAN = 0x8100;
/** IP protocol numbers. */
export const IP_TCP = 6;
/** See {@link IP_TCP}. */
export const IP_UDP = 17;
/** Bytes of a header without options. */
export const IPV4_HEADER = 20;
/** See {@link IPV4_HEADER}. */
export const IPV6_HEADER = 40;
/** See {@link IPV4_HEADER}. */
export const TCP_HEADER = 20;
/** See {@link IPV4_HEADER}. */
export const UDP_HEADER = 8;

/** The 16 bits of network byte order at a place. */
export function readBig16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Writes 16 bits in network byte order. */
export function writeBig16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** The 32 bits of network byte order at a place. */
export function readBig32(bytes: Uint8Array, at: number): number {
  return ((readBig16(bytes, at) << 16) | readBig16(bytes, at + 2)) >>> 0;
}

/** Writes 32 bits in network byte order. */
export function writeBig32(bytes: Uint8Array, at: number, value: number): void {
  writeBig16(bytes, at, value >>> 16);
  writeBig16(bytes, at + 2, value & 0xffff);
}

/**
 * What is where in an Ethernet frame: one tag, IPv4 or IPv6 without extension headers, TCP or UDP. Reused for one frame
 * after the other. Hot: no allocation.
 */
export class PacketLayers {
  /** The VLAN identifier, or -1 for an untagged frame. */
  vlan = -1;
  /** 4, 6, or 0 for neither. */
  version = 0;
  /** Where the IP header starts. */
  network = 0;
  /** {@link IP_TCP}, {@link IP_UDP}, or 0: also for a fragment, whose ports may be in another one. */
  protocol = 0;
  /** Where the TCP or UDP header starts; where the IP payload does for any other protocol. */
  transport = 0;
  /** Where the data behind all headers starts. */
  payload = 0;

  /** Looks at the first `length` bytes. A header that is cut off, or has no such length, is not there. */
  read(frame: Uint8Array, length: number): void {
    this.vlan = -1;
    this.version = this.protocol = 0;
    this.network = this.transport = this.payload = Math.min(length, ETHERNET_HEADER);
    if (length < ETHERNET_HEADER) return;
    let type = readBig16(frame, ETHERNET_HEADER - 2);
    if (type === ETHERTYPE_VLAN && length >= ETHERNET_HEADER + VLAN_TAG) {
      this.vlan = readBig16(frame, ETHERNET_HEADER) & 0xfff;
      this.network = this.transport = this.payload = ETHERNET_HEADER + VLAN_TAG;
      type = readBig16(frame, this.network - 2);
    }
    if (type === ETHERTYPE_IPV4) this.#readIpv4(frame, length);
    else if (type === ETHERTYPE_IPV6) this.#readIpv6(frame, length);
  }

  #readIpv4(frame: Uint8Array, length: number): void {
    const at = this.network;
    if (length < at + IPV4_HEADER || frame[at]! >>> 4 !== 4) return;
    const header = (frame[at]! & 0xf) * 4;
    if (header < IPV4_HEADER || length < at + header) return;
    this.version = 4;
    this.transport = this.payload = at + header;
    const isFragment = (readBig16(frame, at + 6) & 0x3fff) !== 0;
    if (!isFragment) this.#readTransport(frame, length, frame[at + 9]!);
  }

  #readIpv6(frame: Uint8Array, length: number): void {
    const at = this.network;
    if (length < at + IPV6_HEADER || frame[at]! >>> 4 !== 6) return;
    this.version = 6;
    this.transport = this.payload = at + IPV6_HEADER;
    this.#readTransport(frame, length, frame[at + 6]!);
  }

  #readTransport(frame: Uint8Array, length: number, protocol: number): void {
    const at = this.transport;
    if (protocol === IP_UDP && length >= at + UDP_HEADER) {
      this.protocol = IP_UDP;
      this.payload = at + UDP_HEADER;
    } else if (protocol === IP_TCP && length >= at + TCP_HEADER) {
      const header = (frame[at + 12]! >>> 4) * 4;
      if (header < TCP_HEADER || length < at + header) return;
      this.protocol = IP_TCP;
      this.payload = at + header;
    }
  }
}
