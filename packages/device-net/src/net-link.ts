import { type BufferMapping, type DriverQueue } from '@virtio-platform/core';
import { type MessageLink, QueuePair } from '@virtio-platform/device-kit';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { NET_NUM_BUFFERS, NET_RECEIVE_BUFFER } from './layout.ts';

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
  readonly splitsHeader: boolean;
  readonly buffers: BufferMapping;
  readonly byteOrder: ByteOrder;
  readonly notify: (queue: Virtqueue) => void;
}

/**
 * The driver's side of one pair of network queues: packets, put together from the receive buffers that each was spread
 * over.
 */
export class NetLink implements MessageLink {
  readonly isFramed = true;
  readonly #pair: QueuePair;
  readonly #options: NetLinkOptions;
  /** A packet with its header, as far as it came, and how many buffers of it are still to come. */
  readonly #packet: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #missing = 0;

  /** Throws {@link DmaError} when there is no memory for the buffers; then nothing stays allocated. */
  constructor(memory: GuestMemory, receive: DriverQueue, transmit: DriverQueue, options: NetLinkOptions) {
    const { depth, bytes, header, isMerged, splitsHeader, buffers, notify } = options;
    const whole = header + bytes;
    const least = Math.max(whole, NET_RECEIVE_BUFFER);
    const receiveBytes = isMerged ? mergedBufferBytes(whole, receive, splitsHeader) : least;
    const perPacket = Math.ceil(whole / receiveBytes);
    this.#options = options;
    // One byte more than the longest packet, to tell one that is longer.
    this.#packet = new Uint8Array(Math.max(whole + 1, receiveBytes));
    this.#view = new DataView(this.#packet.buffer);
    this.#pair = new QueuePair(memory, receive, transmit, {
      receiveCount: depth * perPacket,
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

  send(source: Uint8Array, length: number): number {
    return this.#pair.send(source, length);
  }

  /** A first buffer without a whole header is no packet. What is longer than any packet that was asked for is cut. */
  receive(target: Uint8Array): number {
    const { header } = this.#options;
    for (;;) {
      const isFirst = this.#missing === 0;
      if (isFirst) this.#at = 0;
      const length = this.#pair.receive(this.#packet, this.#at);
      if (length < 0) return 0;
      if (isFirst && length < header) continue;
      this.#at += length;
      this.#missing = isFirst ? this.#buffersAfterFirst() : this.#missing - 1;
      if (this.#missing > 0 || this.#at === header) continue;
      const bytes = Math.min(this.#at - header, target.length);
      target.set(this.#packet.subarray(header, header + bytes));
      return bytes;
    }
  }

  flush(): number {
    return this.#pair.flush();
  }

  dispose(): void {
    this.#pair.dispose();
  }

  /**
   * A device cannot have used more buffers than there are; one that says so, or none, is taken for one that used this
   * one.
   */
  #buffersAfterFirst(): number {
    const { isMerged, byteOrder } = this.#options;
    if (!isMerged) return 0;
    const told = this.#view.getUint16(NET_NUM_BUFFERS, byteOrder === 'little');
    return told >= 1 && told <= this.#pair.receiveCount ? told - 1 : 0;
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
