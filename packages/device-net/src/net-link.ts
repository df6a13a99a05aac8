import { type BufferMapping, type DriverQueue } from '@virtio-platform/core';
import { type MessageLink, QueuePair } from '@virtio-platform/device-kit';
import { copyBytes } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { NET_HASH_HEADER_SIZE, NET_LONGEST_PACKET, NET_RECEIVE_BUFFER } from './layout.ts';
import { headerProblem } from './offload/header-problem.ts';
import { NetHeader, NO_OFFLOAD, type Offload } from './offload/net-header.ts';
import { takesLongPackets, type OffloadSet } from './offload/offload-set.ts';
import { PacketLayers } from './offload/packet-layers.ts';

/** The settings of a link that the network driver half gives to a workload. */
export interface NetLinkOptions {
  /** Packets in flight at once. */
  readonly depth: number;
  /** Longest packet in bytes, without its header. */
  readonly bytes: number;
  /** Bytes of the header. */
  readonly header: number;
  /** Whether MRG_RXBUF was accepted. */
  readonly isMerged: boolean;
  /** What the driver does with packets that it receives. */
  readonly guest: OffloadSet;
  readonly splitsHeader: boolean;
  readonly buffers: BufferMapping;
  readonly byteOrder: ByteOrder;
  readonly notify: (queue: Virtqueue) => void;
  /** Called with each `flush`. */
  readonly pump?: () => void;
}

/** Bytes of receive buffers that each hold a longest packet, of one pair. */
const MOST_BYTES = 0x20_0000;

/**
 * The driver's side of one pair of network queues: packets, put together from the receive buffers that each was spread
 * over. A packet whose header breaks the rules, as `virtio_net_hdr_to_skb` of Linux has them, is dropped.
 */
export class NetLink implements MessageLink {
  readonly isFramed = true;
  /** The header of the packet that `receive` returned last. */
  readonly header: NetHeader = new NetHeader();
  readonly #pair: QueuePair;
  readonly #options: NetLinkOptions;
  #guest: OffloadSet;
  readonly #sent: NetHeader = new NetHeader();
  readonly #sentBytes: Uint8Array = new Uint8Array(NET_HASH_HEADER_SIZE);
  readonly #sentView: DataView = new DataView(this.#sentBytes.buffer);
  readonly #layers: PacketLayers = new PacketLayers();
  /** A packet with its header, as far as it came, and how many buffers of it are still to come. */
  readonly #packet: Uint8Array;
  readonly #view: DataView;
  readonly #frame: Uint8Array;
  #at = 0;
  #missing = 0;
  #malformed = 0;

  /** Throws {@link DmaError} when there is no memory for the buffers; then nothing stays allocated. */
  constructor(memory: GuestMemory, receive: DriverQueue, transmit: DriverQueue, options: NetLinkOptions) {
    const { depth, bytes, header, isMerged, guest, splitsHeader, buffers, notify } = options;
    const isLong = takesLongPackets(guest);
    // What may come: more than is asked for, where the device may put packets together.
    const whole = header + (isLong ? NET_LONGEST_PACKET : bytes);
    const least = Math.max(whole, NET_RECEIVE_BUFFER);
    const receiveBytes = isMerged ? mergedBufferBytes(whole, receive, splitsHeader) : least;
    const perPacket = Math.ceil(whole / receiveBytes);
    const asked = depth * Math.ceil((header + bytes) / receiveBytes);
    const most = isLong && !isMerged ? Math.max(1, Math.floor(MOST_BYTES / receiveBytes)) : asked;
    this.#options = options;
    this.#guest = guest;
    // One byte more than the longest packet, to tell one that is longer.
    this.#packet = new Uint8Array(Math.max(whole + 1, receiveBytes));
    this.#view = new DataView(this.#packet.buffer);
    this.#frame = this.#packet.subarray(header);
    this.#pair = new QueuePair(memory, receive, transmit, {
      receiveCount: Math.max(perPacket, Math.min(asked, most)),
      receiveAtLeast: perPacket,
      receiveBytes,
      transmitCount: depth,
      transmitBytes: bytes,
      header,
      splitsHeader,
      buffers,
      notify,
    });
  }

  get inFlight(): number {
    return this.#pair.inFlight;
  }

  get receiveQueue(): number {
    return this.#pair.receiveQueue;
  }

  /** Packets that were dropped because of their length or header. */
  get malformed(): number {
    return this.#malformed;
  }

  /** What the driver does with packets from now on, after the device agreed. */
  setGuestOffloads(guest: OffloadSet): void {
    this.#guest = guest;
  }

  /** Sends a frame as {@link MessageLink.send} does; `offload` says what the device has to do with it first. Hot. */
  send(source: Uint8Array, length: number, offload: Offload = NO_OFFLOAD): number {
    this.#sent.assign(offload);
    this.#sent.write(this.#sentView, this.#options.header, this.#options.byteOrder === 'little');
    return this.#pair.send(source, length, this.#sentBytes);
  }

  /**
   * A packet whose first buffer has no whole header, or whose header breaks the rules, is dropped. What is longer than
   * `target`, or than any packet that was asked for, is cut. {@link header} says what is left to do with the packet.
   */
  receive(target: Uint8Array): number {
    const { header, byteOrder } = this.#options;
    for (;;) {
      const isFirst = this.#missing === 0;
      if (isFirst) this.#at = 0;
      const length = this.#pair.receive(this.#packet, this.#at);
      if (length < 0) return 0;
      if (isFirst && length < header) {
        if (length > 0) this.#malformed++;
        continue;
      }
      this.#at += length;
      if (isFirst) this.header.read(this.#view, header, byteOrder === 'little');
      this.#missing = isFirst ? this.#buffersAfterFirst() : this.#missing - 1;
      if (this.#missing > 0) continue;
      if (this.#missing < 0 || !this.#isSound()) {
        this.#missing = 0;
        this.#malformed++;
        continue;
      }
      const bytes = Math.min(this.#at - header, target.length);
      copyBytes(target, 0, this.#frame, 0, bytes);
      return bytes;
    }
  }

  flush(): number {
    this.#options.pump?.();
    return this.#pair.flush();
  }

  /** See {@link QueuePair.describeBuffer}. */
  describeBuffer(queue: number, id: number): string | undefined {
    return this.#pair.describeBuffer(queue, id, 'frame');
  }

  dispose(): void {
    this.#pair.dispose();
  }

  /** Whether there is a packet, with a header that it may have. Hot. */
  #isSound(): boolean {
    const length = this.#at - this.#options.header;
    if (length <= 0) return false;
    // Packets of the wire need no closer look.
    if (this.header.gsoType === 0 && (this.header.flags & 1) === 0 && this.header.headerLength === 0) return true;
    this.#layers.read(this.#frame, length);
    return headerProblem(this.header, length, this.#layers, this.#guest) === undefined;
  }

  /**
   * The buffers of a packet that follow the first one. A device cannot have used none, or more than there are: -1, and
   * the packet is dropped (specification 1.4 section 5.1.6.4.1).
   */
  #buffersAfterFirst(): number {
    if (!this.#options.isMerged) return 0;
    const told = this.header.buffers;
    return told >= 1 && told <= this.#pair.receiveCount ? told - 1 : -1;
  }
}

/**
 * Bytes of a receive buffer where a packet of `whole` bytes may take several: so many that the queue holds all buffers
 * of a packet, because the device waits for the last of them.
 */
function mergedBufferBytes(whole: number, { queue, mapping }: DriverQueue, splitsHeader: boolean): number {
  let bytes = NET_RECEIVE_BUFFER;
  const entries = (): number =>
    Math.ceil(bytes / Math.min(bytes, mapping.limits.maxMappingSize)) + (splitsHeader ? 1 : 0);
  while (bytes < whole && Math.ceil(whole / bytes) * entries() > queue.size) bytes = Math.min(whole, 2 * bytes);
  return bytes;
}
