import { readChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { MAC_BYTES, NET_COMMAND_SIZE } from '../layout.ts';
import * as feature from '../net-features.ts';
import * as ctrl from './control-commands.ts';
import type { FrameFilter } from './frame-filter.ts';

/** What a device half does for commands beside its filter. Each returns whether it did it. */
export interface ControlTarget {
  readonly filter: FrameFilter;
  /** Takes the six bytes at the start of `address`. */
  setAddress(address: Uint8Array): void;
  acknowledgeAnnouncement(): boolean;
  setPairs(pairs: number): boolean;
  configureScaling(data: DataView, length: number): boolean;
  configureHash(data: DataView, length: number): boolean;
  /** The offloads by their feature bits. */
  setGuestOffloads(offloads: bigint): boolean;
}

/** Bytes of the longest command. */
const LONGEST_COMMAND = 0x2000;

/**
 * Executes what is sent on the control queue (specification 1.4 section 5.1.6.5): a command of a feature that was
 * negotiated, with data of exactly its length and values that can be. Anything else changes nothing.
 */
export class ControlExecutor {
  readonly #target: ControlTarget;
  readonly #littleEndian: boolean;
  readonly #bytes: Uint8Array = new Uint8Array(LONGEST_COMMAND);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  readonly #data: DataView = new DataView(this.#bytes.buffer, NET_COMMAND_SIZE);

  constructor(target: ControlTarget, littleEndian: boolean) {
    this.#target = target;
    this.#littleEndian = littleEndian;
  }

  /** Executes the command in the readable part of a chain. Returns whether it is done. */
  execute(chain: DescriptorChain, space: DeviceAddressSpace, accepted: FeatureSet): boolean {
    const { readableBytes } = chain;
    if (readableBytes < NET_COMMAND_SIZE || readableBytes > LONGEST_COMMAND) return false;
    if (!readChain(chain, space, 0, this.#bytes, 0, readableBytes)) return false;
    const command = this.#bytes[1]!;
    const length = readableBytes - NET_COMMAND_SIZE;
    switch (this.#bytes[0]) {
      case ctrl.VIRTIO_NET_CTRL_RX:
        return this.#setMode(command, length, accepted);
      case ctrl.VIRTIO_NET_CTRL_MAC:
        return this.#setAddresses(command, length, accepted);
      case ctrl.VIRTIO_NET_CTRL_VLAN:
        return accepted.has(feature.VIRTIO_NET_F_CTRL_VLAN) && this.#setVlan(command, length);
      case ctrl.VIRTIO_NET_CTRL_ANNOUNCE:
        if (command !== ctrl.VIRTIO_NET_CTRL_ANNOUNCE_ACK || length !== 0) return false;
        return accepted.has(feature.VIRTIO_NET_F_GUEST_ANNOUNCE) && this.#target.acknowledgeAnnouncement();
      case ctrl.VIRTIO_NET_CTRL_MQ:
        return this.#setQueues(command, length, accepted);
      case ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        if (command !== ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || length !== 8) return false;
        if (!accepted.has(feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) return false;
        return this.#target.setGuestOffloads(this.#data.getBigUint64(0, this.#littleEndian));
      default:
        return false;
    }
  }

  #setMode(command: number, length: number, accepted: FeatureSet): boolean {
    const required =
      command <= ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI ? feature.VIRTIO_NET_F_CTRL_RX : feature.VIRTIO_NET_F_CTRL_RX_EXTRA;
    if (command > ctrl.VIRTIO_NET_CTRL_RX_NOBCAST || length !== 1 || !accepted.has(required)) return false;
    const value = this.#data.getUint8(0);
    if (value > 1) return false;
    this.#target.filter.setMode(command, value === 1);
    return true;
  }

  #setAddresses(command: number, length: number, accepted: FeatureSet): boolean {
    if (command === ctrl.VIRTIO_NET_CTRL_MAC_ADDR_SET) {
      if (length !== MAC_BYTES || !accepted.has(feature.VIRTIO_NET_F_CTRL_MAC_ADDR)) return false;
      this.#target.setAddress(this.#bytes.subarray(NET_COMMAND_SIZE, NET_COMMAND_SIZE + MAC_BYTES));
      return true;
    }
    return (
      command === ctrl.VIRTIO_NET_CTRL_MAC_TABLE_SET &&
      accepted.has(feature.VIRTIO_NET_F_CTRL_RX) &&
      this.#setTables(length)
    );
  }

  /** Two tables, each with the number of its addresses in front. */
  #setTables(length: number): boolean {
    if (length < 8) return false;
    const unicasts = this.#data.getUint32(0, this.#littleEndian);
    const second = 4 + unicasts * MAC_BYTES;
    if (second + 4 > length) return false;
    const multicasts = this.#data.getUint32(second, this.#littleEndian);
    if (length !== second + 4 + multicasts * MAC_BYTES) return false;
    const at = NET_COMMAND_SIZE + 4;
    this.#target.filter.setTables(this.#bytes, at, unicasts, NET_COMMAND_SIZE + second + 4, multicasts);
    return true;
  }

  #setVlan(command: number, length: number): boolean {
    if (command > ctrl.VIRTIO_NET_CTRL_VLAN_DEL || length !== 2) return false;
    const vlan = this.#data.getUint16(0, this.#littleEndian);
    if (vlan >= ctrl.VLANS) return false;
    this.#target.filter.setVlan(vlan, command === ctrl.VIRTIO_NET_CTRL_VLAN_ADD);
    return true;
  }

  #setQueues(command: number, length: number, accepted: FeatureSet): boolean {
    switch (command) {
      case ctrl.VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
        if (length !== 2 || !accepted.has(feature.VIRTIO_NET_F_MQ)) return false;
        return this.#target.setPairs(this.#view.getUint16(NET_COMMAND_SIZE, this.#littleEndian));
      case ctrl.VIRTIO_NET_CTRL_MQ_RSS_CONFIG:
        return accepted.has(feature.VIRTIO_NET_F_RSS) && this.#target.configureScaling(this.#data, length);
      case ctrl.VIRTIO_NET_CTRL_MQ_HASH_CONFIG:
        return accepted.has(feature.VIRTIO_NET_F_HASH_REPORT) && this.#target.configureHash(this.#data, length);
      default:
        return false;
    }
  }
}
