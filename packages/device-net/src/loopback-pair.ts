import { type DeviceQueues, KEPT } from '@virtio-platform/core';
import { ByteBacklog, copyChain, writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DescriptorChain, LONGEST_TABLE } from '@virtio-platform/core/queue';
import { NET_HEADER_SIZE, NET_LONGEST_PACKET, NET_NUM_BUFFERS } from './layout.ts';

/** What was negotiated about packets. */
export interface PacketFormat {
  /** Bytes in front of a packet. */
  readonly header: number;
  /** Whether a packet may be spread over several receive buffers. */
  readonly isMerged: boolean;
  readonly littleEndian: boolean;
}

/** Four of the longest packets. */
const BACKLOG = 0x4_0000;
const BACKLOG_PACKETS = 1024;

/**
 * The device's side of one pair of network queues: delivers what it is sent. Packets wait in a bounded backlog for
 * receive buffers; while another of any length might not fit, transmit buffers stay in the ring, so that none is lost.
 */
export class LoopbackPair {
  readonly #receiveQueue: number;
  readonly #bytes: ByteBacklog = new ByteBacklog(BACKLOG);
  /** Lengths of the packets in the backlog: a ring of which `count` from `first` on are taken. */
  readonly #lengths: Uint32Array = new Uint32Array(BACKLOG_PACKETS);
  #first = 0;
  #count = 0;
  readonly #header: Uint8Array = new Uint8Array(NET_HEADER_SIZE);
  readonly #headerView: DataView = new DataView(this.#header.buffer);
  /** Receive buffers that are kept until the packet in them is whole: the first one's chain, and what to push. */
  readonly #firstChain: DescriptorChain;
  readonly #heads: Uint16Array;
  readonly #written: Uint32Array;
  #kept = 0;

  constructor(receiveQueue: number, queueSize: number) {
    this.#receiveQueue = receiveQueue;
    this.#firstChain = new DescriptorChain(Math.max(queueSize, LONGEST_TABLE));
    this.#heads = new Uint16Array(queueSize);
    this.#written = new Uint32Array(queueSize);
  }

  /** Forgets everything; a reset took all buffers back. */
  reset(): void {
    this.#bytes.clear();
    this.#count = 0;
    this.#kept = 0;
  }

  get wantsReceive(): boolean {
    return this.#count > 0;
  }

  get wantsTransmit(): boolean {
    return this.#bytes.room >= NET_LONGEST_PACKET && this.#count < BACKLOG_PACKETS;
  }

  /** Drops what waits and returns the buffers that were kept. */
  stop(queues: DeviceQueues): void {
    this.#returnKept(queues, false);
    this.reset();
  }

  /** The receive buffers that were kept are the driver's again: the packet that was in them is lost. */
  forget(): void {
    if (this.#kept === 0) return;
    this.#bytes.drop(this.#lengths[this.#first]!);
    this.#kept = 0;
    this.#shift();
  }

  /** Takes a packet. One without a whole header, of no length, too long or not readable is dropped. */
  take(chain: DescriptorChain, space: DeviceAddressSpace, { header }: PacketFormat): number {
    const length = chain.readableBytes - header;
    if (length <= 0 || length > NET_LONGEST_PACKET || !this.#bytes.appendFrom(chain, space, header, length)) return 0;
    this.#lengths[(this.#first + this.#count) % BACKLOG_PACKETS] = length;
    this.#count++;
    return 0;
  }

  /**
   * Fills a receive buffer. A packet that does not fit the only buffer it may have is dropped, and the buffer comes
   * back empty.
   */
  deliver(chain: DescriptorChain, space: DeviceAddressSpace, format: PacketFormat, queues: DeviceQueues): number {
    const skip = this.#kept === 0 ? format.header : 0;
    if (chain.writableBytes < skip || chain.writableBytes === 0) {
      // With IN_ORDER a buffer cannot come back before those that were kept.
      return this.#kept === 0 ? 0 : this.#giveUp(queues);
    }
    const left = this.#lengths[this.#first]!;
    const run = Math.min(left, chain.writableBytes - skip);
    const isLast = run === left;
    const mayGoOn = format.isMerged && this.#kept < this.#heads.length - 1;
    if (!isLast && !mayGoOn) return this.#giveUp(queues);
    this.#lengths[this.#first] = left - run;
    if (!this.#bytes.moveTo(chain, space, skip, run)) return this.#giveUp(queues);
    if (!isLast) {
      if (this.#kept === 0) copyChain(this.#firstChain, chain);
      this.#heads[this.#kept] = chain.head;
      this.#written[this.#kept++] = skip + run;
      return KEPT;
    }
    const isWritten = this.#writeHeader(this.#kept === 0 ? chain : this.#firstChain, space, format);
    this.#returnKept(queues, isWritten);
    this.#shift();
    return isWritten ? skip + run : 0;
  }

  /** The header of a packet as it is, in as many buffers as were used. */
  #writeHeader(chain: DescriptorChain, space: DeviceAddressSpace, { header, littleEndian }: PacketFormat): boolean {
    this.#headerView.setUint16(NET_NUM_BUFFERS, this.#kept + 1, littleEndian);
    return writeChain(chain, space, 0, this.#header, 0, header);
  }

  /** Drops the packet and returns its buffers empty. */
  #giveUp(queues: DeviceQueues): number {
    this.#bytes.drop(this.#lengths[this.#first]!);
    this.#returnKept(queues, false);
    this.#shift();
    return 0;
  }

  #shift(): void {
    this.#first = (this.#first + 1) % BACKLOG_PACKETS;
    this.#count--;
  }

  #returnKept(queues: DeviceQueues, isWritten: boolean): void {
    for (let i = 0; i < this.#kept; i++)
      queues.push(this.#receiveQueue, this.#heads[i]!, isWritten ? this.#written[i]! : 0);
    this.#kept = 0;
  }
}
