import { KEPT, type DeviceEvents, type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import { ConfigSpace, readChain, writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { ControlExecutor } from './control/control-executor.ts';
import { FrameFilter } from './control/frame-filter.ts';
import { DeviceEventSchedule } from './device-event-schedule.ts';
import { FEATURES_OF_BOTH_HALVES } from './features-of-both-halves.ts';
import * as feature from './net-features.ts';
import * as wire from './layout.ts';
import { LoopbackPair, type PacketFormat } from './loopback-pair.ts';
import { NET_CONFIG } from './net-config.ts';
import type { NetEvent } from './net-settings.ts';
import { completeChecksum } from './offload/checksum.ts';
import { headerProblem } from './offload/header-problem.ts';
import { NetHeader, netHeaderSize, NO_OFFLOAD } from './offload/net-header.ts';
import { GUEST_OFFLOADS, guestOffloads, hostOffloads, type OffloadSet } from './offload/offload-set.ts';
import { PacketLayers } from './offload/packet-layers.ts';
import { NET_HASH_KEY_BYTES, NET_HASH_TYPES } from './receive-side-scaling/frame-hash.ts';
import { ReceiveSteering } from './receive-side-scaling/receive-steering.ts';
import { NET_LONGEST_TABLE } from './receive-side-scaling/scaling-config.ts';

/** The settings of the network device half. */
export interface NetDeviceOptions {
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** 1 to 15. */
  readonly queuePairs: number;
  /** Largest size of each queue, in entries. */
  readonly queueSize: number;
  /** Of configuration, headers and commands: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
  /** Bytes of the longest IP packet; without it the device does not offer MTU. */
  readonly mtu?: number | undefined;
  /** Mbit/s; without it the device does not offer SPEED_DUPLEX. */
  readonly speed?: number | undefined;
  /** `full` unless given. */
  readonly duplex?: 'half' | 'full' | undefined;
  readonly events?: readonly NetEvent[];
}

/** `duplex` in the configuration. Section 5.1.4. */
const FULL_DUPLEX = 1;

/** The features of a device half with these settings. */
function offeredFeatures({ queuePairs, mtu, speed }: NetDeviceOptions): FeatureSet {
  let features = FEATURES_OF_BOTH_HALVES;
  if (queuePairs > 1) features = features.with(feature.VIRTIO_NET_F_MQ);
  if (mtu !== undefined) features = features.with(feature.VIRTIO_NET_F_MTU);
  return speed === undefined ? features : features.with(feature.VIRTIO_NET_F_SPEED_DUPLEX);
}

/**
 * The device half of a network device (specification 1.4 section 5.1) whose cable is looped: what is transmitted on a
 * pair of queues is received on the same pair, or where receive-side scaling sends it. A frame that the driver leaves
 * unfinished comes back unfinished where the driver takes such frames; otherwise the device finishes it: it computes
 * the checksum, and cuts it into packets of the wire. A frame whose header breaks the rules is dropped. Only the pairs
 * that the driver asked for are used, the first one from the start.
 */
export class NetDevice implements DeviceModel {
  readonly features: FeatureSet;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly usesEventLoop: boolean;
  readonly #options: NetDeviceOptions;
  readonly #littleEndian: boolean;
  readonly #configSpace: ConfigSpace;
  readonly #pairs: readonly LoopbackPair[];
  readonly #filter: FrameFilter = new FrameFilter();
  readonly #steering: ReceiveSteering = new ReceiveSteering();
  readonly #executor: ControlExecutor;
  readonly #schedule: DeviceEventSchedule;
  /** The frame that is being taken, its header and its layers. */
  readonly #frame: Uint8Array = new Uint8Array(wire.NET_LONGEST_PACKET);
  readonly #layers: PacketLayers = new PacketLayers();
  readonly #header: NetHeader = new NetHeader();
  readonly #headerBytes: Uint8Array = new Uint8Array(wire.NET_HASH_HEADER_SIZE);
  readonly #headerView: DataView = new DataView(this.#headerBytes.buffer);
  readonly #answer: Uint8Array = new Uint8Array(1);
  #events: DeviceEvents | undefined;
  #accepted: FeatureSet = FeatureSet.EMPTY;
  #format: PacketFormat;
  #host: OffloadSet = hostOffloads(FeatureSet.EMPTY);
  #guest: OffloadSet = guestOffloads(FeatureSet.EMPTY);
  /** Bytes of the longest IP packet that was agreed upon. */
  #mtu = Infinity;
  #existing = 1;
  /** Pairs whose transmit queue, and whose receive queue, is used. */
  #transmits = 1;
  #receives = 1;
  #status = wire.VIRTIO_NET_S_LINK_UP;
  /** -1 without CTRL_VQ. It follows the last pair of those that exist with what was negotiated. */
  #controlQueue = -1;
  #dropped = 0;

  constructor(options: NetDeviceOptions) {
    const { queuePairs, queueSize, byteOrder, mtu, speed, duplex, events = [] } = options;
    this.#options = options;
    this.#littleEndian = byteOrder === 'little';
    this.features = offeredFeatures(options);
    this.queueSizes = Array.from({ length: 2 * queuePairs + 1 }, () => queueSize);
    this.#pairs = Array.from({ length: queuePairs }, (_, pair) => new LoopbackPair(2 * pair, queueSize));
    const config = (this.#configSpace = new ConfigSpace(NET_CONFIG, byteOrder));
    config.set(NET_CONFIG.max_virtqueue_pairs, queuePairs);
    if (mtu !== undefined) config.set(NET_CONFIG.mtu, mtu);
    if (speed !== undefined) config.set(NET_CONFIG.speed, speed);
    if (speed !== undefined) config.set(NET_CONFIG.duplex, duplex === 'half' ? 0 : FULL_DUPLEX);
    config.set(NET_CONFIG.rss_max_key_size, NET_HASH_KEY_BYTES);
    config.set(NET_CONFIG.rss_max_indirection_table_length, NET_LONGEST_TABLE);
    config.set(NET_CONFIG.supported_hash_types, NET_HASH_TYPES);
    this.config = config.bytes;
    this.#executor = new ControlExecutor(
      {
        filter: this.#filter,
        setAddress: (address) => {
          this.#setAddress(address);
          this.#events?.configChanged();
        },
        acknowledgeAnnouncement: () => this.#acknowledgeAnnouncement(),
        setPairs: (pairs) => this.#setPairs(pairs),
        configureScaling: (data, length) => this.#configureScaling(data, length),
        configureHash: (data, length) => this.#steering.configureHash(data, length, this.#littleEndian),
        setGuestOffloads: (offloads) => this.#setGuestOffloads(offloads),
      },
      this.#littleEndian,
    );
    this.#schedule = new DeviceEventSchedule(events, {
      announce: () => this.#announce(),
      setLink: (isUp) => this.#setLink(isUp),
    });
    this.usesEventLoop = this.#schedule.usesTimers;
    this.#format = this.#formatFor(FeatureSet.EMPTY);
    this.#setAddress(options.mac);
    this.#setStatus(wire.VIRTIO_NET_S_LINK_UP);
  }

  /** Frames of the driver that were dropped because of their length or header, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  start(accepted: FeatureSet): void {
    const { mac, mtu } = this.#options;
    this.#accepted = accepted;
    this.#format = this.#formatFor(accepted);
    this.#host = hostOffloads(accepted);
    this.#guest = guestOffloads(accepted);
    this.#mtu = accepted.has(feature.VIRTIO_NET_F_MTU) ? (mtu ?? Infinity) : Infinity;
    const hasPairs = accepted.has(feature.VIRTIO_NET_F_MQ) || accepted.has(feature.VIRTIO_NET_F_RSS);
    this.#existing = hasPairs ? this.#pairs.length : 1;
    // As a back-end it has no control queue: the front-end enables the rings of the pairs that are in use.
    const isBackEnd = hasPairs && !accepted.has(feature.VIRTIO_NET_F_CTRL_VQ);
    this.#transmits = this.#receives = isBackEnd ? this.#existing : 1;
    this.#controlQueue = accepted.has(feature.VIRTIO_NET_F_CTRL_VQ) ? 2 * this.#existing : -1;
    this.#dropped = 0;
    for (const pair of this.#pairs) pair.reset();
    this.#steering.reset();
    this.#filter.reset(mac, accepted.has(feature.VIRTIO_NET_F_CTRL_VLAN));
    this.#setAddress(mac);
    this.#schedule.start();
    this.#setStatus(wire.VIRTIO_NET_S_LINK_UP);
  }

  wants(queue: number): boolean {
    if (queue === this.#controlQueue) return true;
    const pair = queue >> 1;
    if (queue % 2 === 0) return pair < this.#receives && this.#pairs[pair]!.wantsReceive;
    if (pair >= this.#transmits) return false;
    return this.#steering.isScaling ? this.#haveRoom() : this.#pairs[pair]!.hasRoom;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (queue === this.#controlQueue) return this.#obey(chain, space, queues);
    if (queue % 2 === 0) return this.#pairs[queue >> 1]!.deliver(chain, space, this.#format, queues);
    if (!this.#take(chain, space, queue >> 1)) this.#dropped++;
    return 0;
  }

  /** A command fails; a frame cannot. */
  refuse(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (queue !== this.#controlQueue || chain.writableBytes === 0) return KEPT;
    this.#answer[0] = wire.VIRTIO_NET_ERR;
    return writeChain(chain, space, 0, this.#answer, 0, 1) ? 1 : 0;
  }

  forget(queue: number): void {
    if (queue < 2 * this.#existing && queue % 2 === 0) this.#pairs[queue >> 1]!.forget();
  }

  dispose(): void {
    this.#schedule.stop();
  }

  #formatFor(accepted: FeatureSet): PacketFormat {
    const isMerged = accepted.has(feature.VIRTIO_NET_F_MRG_RXBUF);
    return { header: netHeaderSize(accepted), isMerged, littleEndian: this.#littleEndian };
  }

  /** With receive-side scaling a frame may go to any pair. */
  #haveRoom(): boolean {
    for (let i = 0; i < this.#receives; i++) if (!this.#pairs[i]!.hasRoom) return false;
    return true;
  }

  /** Takes a frame from the driver. Returns whether its length and header are right. Hot. */
  #take(chain: DescriptorChain, space: DeviceAddressSpace, sentOn: number): boolean {
    const { header } = this.#format;
    const length = chain.readableBytes - header;
    if (length <= 0 || length > wire.NET_LONGEST_PACKET) return false;
    if (!readChain(chain, space, 0, this.#headerBytes, 0, header)) return false;
    if (!readChain(chain, space, header, this.#frame, 0, length)) return false;
    this.#header.read(this.#headerView, header, this.#littleEndian);
    this.#layers.read(this.#frame, length);
    if (headerProblem(this.#header, length, this.#layers, this.#host) !== undefined) return false;
    if (this.#isTooLong(length)) return false;
    const isUp = this.#schedule.isLinkUp;
    this.#schedule.count();
    if (isUp) this.#receive(length, sentOn);
    return true;
  }

  /** Whether the frame, or what it is cut into, is longer than the MTU that was agreed upon (section 5.1.4.1). Hot. */
  #isTooLong(length: number): boolean {
    const { gsoType, gsoSize } = this.#header;
    const { payload, network } = this.#layers;
    if (gsoType !== wire.VIRTIO_NET_HDR_GSO_NONE) return payload - network + gsoSize > this.#mtu;
    return length > this.#mtu + wire.ETHERNET_HEADER + (this.#layers.vlan >= 0 ? wire.VLAN_TAG : 0);
  }

  /** The frame came back over the cable. Hot. */
  #receive(length: number, sentOn: number): void {
    const header = this.#header;
    if (!this.#filter.passes(this.#frame, length, this.#layers)) return;
    const isWhole = header.gsoType === wire.VIRTIO_NET_HDR_GSO_NONE;
    const isTaken = headerProblem(header, length, this.#layers, this.#guest) === undefined;
    // What the driver takes as it is keeps its header.
    if (isTaken) header.flags &= wire.VIRTIO_NET_HDR_F_NEEDS_CSUM;
    else if (isWhole) {
      completeChecksum(this.#frame, length, header.checksumStart, header.checksumOffset);
      header.assign(NO_OFFLOAD);
    }
    const to = this.#steering.steer(this.#frame, this.#layers, sentOn);
    header.hashValue = this.#steering.hash.value;
    header.hashReport = this.#steering.hash.report;
    this.#pairs[to]!.push(header, this.#frame, length, !isTaken && !isWhole);
  }

  /** Does nothing that it cannot acknowledge. */
  #obey(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (chain.writableBytes === 0) return 0;
    const receives = this.#receives;
    this.#answer[0] = this.#executor.execute(chain, space, this.#accepted) ? wire.VIRTIO_NET_OK : wire.VIRTIO_NET_ERR;
    for (let i = this.#receives; i < receives; i++) this.#pairs[i]!.stop(queues);
    return writeChain(chain, space, 0, this.#answer, 0, 1) ? 1 : 0;
  }

  #setAddress(address: Uint8Array): void {
    this.#filter.setAddress(address);
    this.#configSpace.setBytes(NET_CONFIG.mac, address);
  }

  /** Ends receive-side scaling and hashes, as QEMU does. */
  #setPairs(pairs: number): boolean {
    if (pairs < 1 || pairs > this.#existing) return false;
    this.#steering.reset();
    this.#transmits = this.#receives = pairs;
    return true;
  }

  #configureScaling(data: DataView, length: number): boolean {
    const transmits = this.#steering.configureScaling(data, length, this.#existing, this.#littleEndian);
    if (transmits === 0) return false;
    this.#transmits = transmits;
    this.#receives = Math.max(transmits, this.#steering.highestPair + 1);
    return true;
  }

  #setGuestOffloads(offloads: bigint): boolean {
    const wanted = new FeatureSet(offloads);
    if (wanted.minus(this.#accepted.and(GUEST_OFFLOADS)).bits !== 0n) return false;
    this.#guest = guestOffloads(wanted);
    return true;
  }

  #announce(): void {
    if (!this.#accepted.has(feature.VIRTIO_NET_F_GUEST_ANNOUNCE)) return;
    this.#setStatus(this.#status | wire.VIRTIO_NET_S_ANNOUNCE);
    this.#events?.configChanged();
  }

  #acknowledgeAnnouncement(): boolean {
    if ((this.#status & wire.VIRTIO_NET_S_ANNOUNCE) === 0) return false;
    this.#setStatus(this.#status & ~wire.VIRTIO_NET_S_ANNOUNCE);
    this.#events?.configChanged();
    return true;
  }

  #setLink(isUp: boolean): void {
    this.#setStatus(isUp ? this.#status | wire.VIRTIO_NET_S_LINK_UP : this.#status & ~wire.VIRTIO_NET_S_LINK_UP);
    if (this.#accepted.has(feature.VIRTIO_NET_F_STATUS)) this.#events?.configChanged();
  }

  #setStatus(status: number): void {
    this.#status = status;
    this.#configSpace.set(NET_CONFIG.status, status);
  }
}
