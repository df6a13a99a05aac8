import { copyBytes } from '@virtio-platform/core/address-space';
import { VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_UDP_L4 } from '../layout.ts';
import { checksum, completeChecksum, pseudoHeaderSum } from './checksum.ts';
import { TCP_CHECKSUM, UDP_CHECKSUM } from './header-problem.ts';
import type { Offload } from './net-header.ts';
import { IPV6_HEADER, readBig16, readBig32, writeBig16, writeBig32, type PacketLayers } from './packet-layers.ts';

const TCP_FIN = 0x01;
const TCP_PSH = 0x08;
const TCP_CWR = 0x80;
/** Where the flags of a TCP header are. */
const FLAGS = 13;

/**
 * Cuts one packet of several segments into packets of the wire: each has a copy of the headers, `gso_size` bytes of the
 * data (the last one what is left), lengths, identification, sequence number, flags and checksums of its own
 * (specification 1.4 section 5.1.6.2.2; RFC 3168 for CWR). Hot: no allocation.
 */
export class Segmenter {
  /** How many packets of the wire the packet is. */
  count = 1;
  #layers: PacketLayers | undefined;
  #whole: Uint8Array = new Uint8Array(0);
  #length = 0;
  #gsoType = VIRTIO_NET_HDR_GSO_NONE;
  #size = 0;

  /** Begins with the first `length` bytes of a packet, whose header was checked; both stay until the end. */
  start(whole: Uint8Array, length: number, { gsoType, gsoSize }: Offload, layers: PacketLayers): void {
    this.#whole = whole;
    this.#length = length;
    this.#layers = layers;
    this.#gsoType = gsoType & ~VIRTIO_NET_HDR_GSO_ECN;
    this.#size = gsoSize;
    const isCut = gsoType !== VIRTIO_NET_HDR_GSO_NONE;
    this.count = isCut ? Math.max(1, Math.ceil((length - layers.payload) / gsoSize)) : 1;
  }

  /** Writes packet `index` to the start of `target` and returns its bytes. */
  write(index: number, target: Uint8Array): number {
    const layers = this.#layers!;
    const { payload, version } = layers;
    const from = payload + index * this.#size;
    const bytes = Math.min(this.#size, this.#length - from);
    copyBytes(target, 0, this.#whole, 0, payload);
    copyBytes(target, payload, this.#whole, from, bytes);
    const length = payload + bytes;
    if (version === 4) this.#finishIpv4(target, length, index, layers);
    else writeBig16(target, layers.network + 4, length - layers.network - IPV6_HEADER);
    this.#finishTransport(target, length, index, layers);
    return length;
  }

  #finishIpv4(target: Uint8Array, length: number, index: number, { network, transport }: PacketLayers): void {
    writeBig16(target, network + 2, length - network);
    writeBig16(target, network + 4, (readBig16(this.#whole, network + 4) + index) & 0xffff);
    writeBig16(target, network + 10, 0);
    writeBig16(target, network + 10, checksum(target, network, transport - network));
  }

  #finishTransport(target: Uint8Array, length: number, index: number, layers: PacketLayers): void {
    const { transport } = layers;
    const isUdp = this.#gsoType === VIRTIO_NET_HDR_GSO_UDP_L4;
    if (isUdp) writeBig16(target, transport + 4, length - transport);
    else {
      writeBig32(target, transport + 4, (readBig32(this.#whole, transport + 4) + index * this.#size) >>> 0);
      if (index > 0) target[transport + FLAGS]! &= ~TCP_CWR;
      if (index < this.count - 1) target[transport + FLAGS]! &= ~(TCP_FIN | TCP_PSH);
    }
    const offset = isUdp ? UDP_CHECKSUM : TCP_CHECKSUM;
    writeBig16(target, transport + offset, pseudoHeaderSum(target, layers, length - transport));
    completeChecksum(target, length, transport, offset);
  }
}
