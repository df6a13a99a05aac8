import { type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import { ConfigSpace, readChain, writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import {
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_STATUS,
} from './net-features.ts';
import {
  NET_COMMAND_SIZE,
  NET_HEADER_SIZE,
  NET_LEGACY_HEADER_SIZE,
  VIRTIO_NET_CTRL_MQ,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_ERR,
  VIRTIO_NET_OK,
  VIRTIO_NET_S_LINK_UP,
} from './layout.ts';
import { NET_CONFIG } from './net-config.ts';
import { LoopbackPair, type PacketFormat } from './loopback-pair.ts';

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
}

/**
 * The device half of a network device (specification 1.4 section 5.1) whose cable is looped: what is transmitted on a
 * pair of queues is received on the same pair. It has no offloads. Only the pairs that the driver asked for are used,
 * the first one from the start.
 */
export class NetDevice implements DeviceModel {
  readonly features: FeatureSet;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly #littleEndian: boolean;
  readonly #pairs: readonly LoopbackPair[];
  readonly #command: Uint8Array = new Uint8Array(NET_COMMAND_SIZE + 2);
  readonly #commandView: DataView = new DataView(this.#command.buffer);
  readonly #answer: Uint8Array = new Uint8Array(1);
  #format: PacketFormat;
  #hasPairs = false;
  #active = 1;
  /** -1 without CTRL_VQ. It follows the last pair of those that exist with what was negotiated. */
  #controlQueue = -1;

  constructor(options: NetDeviceOptions) {
    const { mac, queuePairs, queueSize } = options;
    this.#littleEndian = options.byteOrder === 'little';
    const always = FeatureSet.of(VIRTIO_NET_F_MAC, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_CTRL_VQ);
    this.features = queuePairs > 1 ? always.with(VIRTIO_NET_F_MQ) : always;
    this.queueSizes = Array.from({ length: 2 * queuePairs + 1 }, () => queueSize);
    this.#pairs = Array.from({ length: queuePairs }, (_, pair) => new LoopbackPair(2 * pair, queueSize));
    const config = new ConfigSpace(NET_CONFIG, options.byteOrder);
    config.setBytes(NET_CONFIG.mac, mac);
    config.set(NET_CONFIG.status, VIRTIO_NET_S_LINK_UP);
    config.set(NET_CONFIG.max_virtqueue_pairs, queuePairs);
    this.config = config.bytes;
    this.#format = this.#formatFor(FeatureSet.EMPTY);
  }

  start(accepted: FeatureSet): void {
    this.#format = this.#formatFor(accepted);
    this.#hasPairs = accepted.has(VIRTIO_NET_F_MQ);
    this.#active = 1;
    const existing = this.#hasPairs ? this.#pairs.length : 1;
    this.#controlQueue = accepted.has(VIRTIO_NET_F_CTRL_VQ) ? 2 * existing : -1;
    for (const pair of this.#pairs) pair.reset();
  }

  wants(queue: number): boolean {
    if (queue === this.#controlQueue) return true;
    if (queue >= 2 * this.#active) return false;
    const pair = this.#pairs[queue >> 1]!;
    return queue % 2 === 0 ? pair.wantsReceive : pair.wantsTransmit;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (queue === this.#controlQueue) return this.#obey(chain, space, queues);
    const pair = this.#pairs[queue >> 1]!;
    return queue % 2 === 0 ? pair.deliver(chain, space, this.#format, queues) : pair.take(chain, space, this.#format);
  }

  forget(queue: number): void {
    if (queue !== this.#controlQueue && queue % 2 === 0) this.#pairs[queue >> 1]!.forget();
  }

  dispose(): void {}

  #formatFor(accepted: FeatureSet): PacketFormat {
    const isMerged = accepted.has(VIRTIO_NET_F_MRG_RXBUF);
    const header = isMerged || accepted.has(VIRTIO_F_VERSION_1) ? NET_HEADER_SIZE : NET_LEGACY_HEADER_SIZE;
    return { header, isMerged, littleEndian: this.#littleEndian };
  }

  /** Does nothing that it cannot acknowledge. */
  #obey(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (chain.writableBytes === 0) return 0;
    this.#answer[0] = this.#execute(chain, space, queues) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
    return writeChain(chain, space, 0, this.#answer, 0, 1) ? 1 : 0;
  }

  #execute(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): boolean {
    // The only command there is has two bytes of data.
    if (!readChain(chain, space, 0, this.#command, 0, NET_COMMAND_SIZE + 2)) return false;
    if (this.#command[0] !== VIRTIO_NET_CTRL_MQ || this.#command[1] !== VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) return false;
    const pairs = this.#commandView.getUint16(NET_COMMAND_SIZE, this.#littleEndian);
    if (!this.#hasPairs || pairs < 1 || pairs > this.#pairs.length) return false;
    for (const pair of this.#pairs.slice(pairs)) pair.stop(queues);
    this.#active = pairs;
    return true;
  }
}
