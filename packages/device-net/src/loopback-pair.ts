import { type DeviceQueues, KEPT } from '@virtio-platform/core';
import { copyChain, writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DescriptorChain, LONGEST_TABLE } from '@virtio-platform/core/queue';
import { FrameBacklog } from './frame-backlog.ts';
import { NET_HASH_HEADER_SIZE, NET_LONGEST_PACKET } from './layout.ts';
import { NetHeader, NO_OFFLOAD } from './offload/net-header.ts';
import { PacketLayers } from './offload/packet-layers.ts';
import { Segmenter } from './offload/segmenter.ts';

/** What was negotiated about packets. */
export interface PacketFormat {
  /** Bytes in front of a packet. */
  readonly header: number;
  /** Whether a packet may be spread over several receive buffers. */
  readonly isMerged: boolean;
  readonly littleEndian: boolean;
}

/**
 * The device's receiving side of one pair of network queues. Frames wait in a bounded backlog for receive buffers, and
 * are cut into packets of the wire, where they are, as they leave it.
 */
export class LoopbackPair {
  readonly #receiveQueue: number;
  readonly #backlog: FrameBacklog = new FrameBacklog();
  /** Header and bytes of the frame that is being delivered, its layers, and how it is cut. */
  readonly #header: NetHeader = new NetHeader();
  #frame: Uint8Array = new Uint8Array(0);
  readonly #layers: PacketLayers = new PacketLayers();
  readonly #segmenter: Segmenter = new Segmenter();
  /** The packet that is being delivered: its place in the frame, its bytes, and how many of them are delivered. */
  #packets = 0;
  #packet: Uint8Array = this.#frame;
  #cut: Uint8Array = new Uint8Array(0);
  #next = 0;
  #length = 0;
  #at = 0;
  readonly #written: Uint32Array;
  readonly #headerBytes: Uint8Array = new Uint8Array(NET_HASH_HEADER_SIZE);
  readonly #headerView: DataView = new DataView(this.#headerBytes.buffer);
  /** Receive buffers that are kept until the packet in them is whole: the first one's chain, and what to push. */
  readonly #firstChain: DescriptorChain;
  readonly #heads: Uint16Array;
  #kept = 0;

  constructor(receiveQueue: number, queueSize: number) {
    this.#receiveQueue = receiveQueue;
    this.#firstChain = new DescriptorChain(Math.max(queueSize, LONGEST_TABLE));
    this.#heads = new Uint16Array(queueSize);
    this.#written = new Uint32Array(queueSize);
  }

  /** Forgets everything; a reset took all buffers back. */
  reset(): void {
    this.#backlog.clear();
    this.#next = this.#packets = 0;
    this.#kept = 0;
  }

  get wantsReceive(): boolean {
    return this.#next < this.#packets || this.#backlog.count > 0;
  }

  /** Whether another frame of any length fits: until then transmit buffers stay in the ring, so that none is lost. */
  get hasRoom(): boolean {
    return this.#backlog.hasRoom;
  }

  /** Drops what waits and returns the buffers that were kept. */
  stop(queues: DeviceQueues): void {
    this.#returnKept(queues, false);
    this.reset();
  }

  /** The receive buffers that were kept are the driver's again: the packet that was in them is lost. */
  forget(): void {
    if (this.#kept === 0) return;
    this.#kept = 0;
    this.#shift();
  }

  /** Appends a frame for the driver; `isCut`: as packets of the wire. Only while {@link hasRoom}. */
  push(header: NetHeader, frame: Uint8Array, length: number, isCut: boolean): void {
    this.#backlog.push(header, frame, length, isCut);
  }

  /**
   * Fills a receive buffer. A packet that does not fit the only buffer it may have is dropped, and the buffer comes
   * back empty.
   */
  deliver(chain: DescriptorChain, space: DeviceAddressSpace, format: PacketFormat, queues: DeviceQueues): number {
    if (this.#next === this.#packets) this.#open();
    const skip = this.#kept === 0 ? format.header : 0;
    if (chain.writableBytes < skip || chain.writableBytes === 0) {
      // With IN_ORDER a buffer cannot come back before those that were kept.
      return this.#kept === 0 ? 0 : this.#giveUp(queues);
    }
    const left = this.#length - this.#at;
    const run = Math.min(left, chain.writableBytes - skip);
    const isLast = run === left;
    const mayGoOn = format.isMerged && this.#kept < this.#heads.length - 1;
    if (!isLast && !mayGoOn) return this.#giveUp(queues);
    if (!writeChain(chain, space, skip, this.#packet, this.#at, run)) return this.#giveUp(queues);
    this.#at += run;
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

  /** Takes the next frame out of the backlog. */
  #open(): void {
    if (this.#frame.length === 0) this.#frame = new Uint8Array(NET_LONGEST_PACKET);
    const isCut = this.#backlog.isFirstCut;
    const length = this.#backlog.shift(this.#header, this.#frame);
    this.#next = this.#at = 0;
    if (!isCut) {
      this.#packets = 1;
      this.#packet = this.#frame;
      this.#length = length;
      return;
    }
    if (this.#cut.length === 0) this.#cut = new Uint8Array(NET_LONGEST_PACKET);
    this.#layers.read(this.#frame, length);
    this.#segmenter.start(this.#frame, length, this.#header, this.#layers);
    this.#packets = this.#segmenter.count;
    this.#packet = this.#cut;
    this.#header.assign(NO_OFFLOAD);
    this.#length = this.#segmenter.write(0, this.#packet);
  }

  /** The header of a packet, with as many buffers as were used. */
  #writeHeader(chain: DescriptorChain, space: DeviceAddressSpace, { header, littleEndian }: PacketFormat): boolean {
    this.#header.buffers = this.#kept + 1;
    this.#header.write(this.#headerView, header, littleEndian);
    return writeChain(chain, space, 0, this.#headerBytes, 0, header);
  }

  /** Drops the packet and returns its buffers empty. */
  #giveUp(queues: DeviceQueues): number {
    this.#returnKept(queues, false);
    this.#shift();
    return 0;
  }

  /** Ends a packet: the next one of the same frame follows. */
  #shift(): void {
    this.#at = 0;
    if (++this.#next < this.#packets) this.#length = this.#segmenter.write(this.#next, this.#packet);
  }

  #returnKept(queues: DeviceQueues, isWritten: boolean): void {
    for (let i = 0; i < this.#kept; i++)
      queues.push(this.#receiveQueue, this.#heads[i]!, isWritten ? this.#written[i]! : 0);
    this.#kept = 0;
  }
}
