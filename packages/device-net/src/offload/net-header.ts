import { type FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import * as wire from '../layout.ts';
import { VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_MRG_RXBUF } from '../net-features.ts';

/** The fields of `struct virtio_net_hdr` that say what is left to do with a packet (virtio 1.4 section 5.1.6). */
export interface Offload {
  readonly flags: number;
  readonly gsoType: number;
  /** Bytes of all headers of the packet: a hint. */
  readonly headerLength: number;
  /** Bytes of data in each segment. */
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

/** A packet as it is on the wire: nothing is left to do. */
export const NO_OFFLOAD: Offload = {
  flags: 0,
  gsoType: 0,
  headerLength: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

/** Bytes of the header in front of a packet with these features (virtio 1.4 sections 5.1.6 and 5.1.6.1). */
export function netHeaderSize(accepted: FeatureSet): number {
  if (accepted.has(VIRTIO_NET_F_HASH_REPORT)) return wire.NET_HASH_HEADER_SIZE;
  const hasBuffers = accepted.has(VIRTIO_NET_F_MRG_RXBUF) || accepted.has(VIRTIO_F_VERSION_1);
  return hasBuffers ? wire.NET_HEADER_SIZE : wire.NET_LEGACY_HEADER_SIZE;
}

/** The header in front of a packet, whose bytes are in an array of its owner. Hot: no allocation. */
export class NetHeader implements Offload {
  flags = 0;
  gsoType = 0;
  headerLength = 0;
  gsoSize = 0;
  checksumStart = 0;
  checksumOffset = 0;
  /** Receive buffers that the packet is spread over. */
  buffers = 0;
  /** With HASH_REPORT: the hash, and the type of the hash, 0 for none. */
  hashValue = 0;
  hashReport = 0;

  /** Takes the fields of another header. */
  assign(other: Offload): void {
    this.flags = other.flags;
    this.gsoType = other.gsoType;
    this.headerLength = other.headerLength;
    this.gsoSize = other.gsoSize;
    this.checksumStart = other.checksumStart;
    this.checksumOffset = other.checksumOffset;
  }

  /** Reads the `size` bytes of a header at the start of `view`; a field behind them is 0. */
  read(view: DataView, size: number, littleEndian: boolean): void {
    this.flags = view.getUint8(wire.NET_FLAGS);
    this.gsoType = view.getUint8(wire.NET_GSO_TYPE);
    this.headerLength = view.getUint16(wire.NET_HDR_LEN, littleEndian);
    this.gsoSize = view.getUint16(wire.NET_GSO_SIZE, littleEndian);
    this.checksumStart = view.getUint16(wire.NET_CSUM_START, littleEndian);
    this.checksumOffset = view.getUint16(wire.NET_CSUM_OFFSET, littleEndian);
    this.buffers = size > wire.NET_NUM_BUFFERS ? view.getUint16(wire.NET_NUM_BUFFERS, littleEndian) : 0;
    const hasHash = size > wire.NET_HASH_VALUE;
    this.hashValue = hasHash ? view.getUint32(wire.NET_HASH_VALUE, littleEndian) : 0;
    this.hashReport = hasHash ? view.getUint16(wire.NET_HASH_REPORT_AT, littleEndian) : 0;
  }

  /** Writes the `size` bytes of the header at the start of `view`; padding is 0. */
  write(view: DataView, size: number, littleEndian: boolean): void {
    view.setUint8(wire.NET_FLAGS, this.flags);
    view.setUint8(wire.NET_GSO_TYPE, this.gsoType);
    view.setUint16(wire.NET_HDR_LEN, this.headerLength, littleEndian);
    view.setUint16(wire.NET_GSO_SIZE, this.gsoSize, littleEndian);
    view.setUint16(wire.NET_CSUM_START, this.checksumStart, littleEndian);
    view.setUint16(wire.NET_CSUM_OFFSET, this.checksumOffset, littleEndian);
    if (size > wire.NET_NUM_BUFFERS) view.setUint16(wire.NET_NUM_BUFFERS, this.buffers, littleEndian);
    if (size <= wire.NET_HASH_VALUE) return;
    view.setUint32(wire.NET_HASH_VALUE, this.hashValue, littleEndian);
    view.setUint16(wire.NET_HASH_REPORT_AT, this.hashReport, littleEndian);
    view.setUint16(wire.NET_HASH_REPORT_AT + 2, 0);
  }
}
