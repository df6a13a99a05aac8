import { MAC_BYTES } from '../layout.ts';
import { macBytes } from '../net-settings.ts';
import {
  encodeHash,
  encodeScaling,
  type HashConfig,
  type ScalingConfig,
} from '../receive-side-scaling/scaling-config.ts';
import * as ctrl from './control-commands.ts';

/** A command of the control queue: class, command and data (specification 1.4 section 5.1.6.5). */
export interface NetCommand {
  readonly class: number;
  readonly command: number;
  readonly data: Uint8Array;
}

/** Most bytes of the data of a command that {@link NetDriver} sends. */
export const MOST_COMMAND_DATA: number = 8 + 2 * ctrl.MOST_ADDRESSES * MAC_BYTES;

/** Acknowledges a request to announce itself. */
export const ANNOUNCE_ACK: NetCommand = {
  class: ctrl.VIRTIO_NET_CTRL_ANNOUNCE,
  command: ctrl.VIRTIO_NET_CTRL_ANNOUNCE_ACK,
  data: new Uint8Array(0),
};

/** Switches a receive mode: `mode` is the command, `VIRTIO_NET_CTRL_RX_PROMISC`. */
export function modeCommand(mode: number, isOn: boolean): NetCommand {
  return { class: ctrl.VIRTIO_NET_CTRL_RX, command: mode, data: Uint8Array.of(isOn ? 1 : 0) };
}

/** Sets the address of the device. */
export function addressCommand(mac: string): NetCommand {
  return { class: ctrl.VIRTIO_NET_CTRL_MAC, command: ctrl.VIRTIO_NET_CTRL_MAC_ADDR_SET, data: macBytes(mac) };
}

/** Sets the tables of addresses. Throws `RangeError` for more than 64 in either. */
export function tablesCommand(
  unicast: readonly string[],
  multicast: readonly string[],
  littleEndian: boolean,
): NetCommand {
  const most = Math.max(unicast.length, multicast.length);
  if (most > ctrl.MOST_ADDRESSES)
    throw new RangeError(`a table of ${most} addresses: it has ${ctrl.MOST_ADDRESSES} at most`);
  const data = new Uint8Array(8 + MAC_BYTES * (unicast.length + multicast.length));
  const view = new DataView(data.buffer);
  let at = 0;
  for (const table of [unicast, multicast]) {
    view.setUint32(at, table.length, littleEndian);
    at += 4;
    for (const mac of table) {
      data.set(macBytes(mac), at);
      at += MAC_BYTES;
    }
  }
  return { class: ctrl.VIRTIO_NET_CTRL_MAC, command: ctrl.VIRTIO_NET_CTRL_MAC_TABLE_SET, data };
}

/** Lets frames of a VLAN pass, or no longer. Throws `RangeError` for a number that no VLAN has. */
export function vlanCommand(vlan: number, passes: boolean, littleEndian: boolean): NetCommand {
  if (!Number.isInteger(vlan) || vlan < 0 || vlan >= ctrl.VLANS)
    throw new RangeError(`VLAN ${vlan}: 0 to ${ctrl.VLANS - 1}`);
  const command = passes ? ctrl.VIRTIO_NET_CTRL_VLAN_ADD : ctrl.VIRTIO_NET_CTRL_VLAN_DEL;
  return { class: ctrl.VIRTIO_NET_CTRL_VLAN, command, data: le16(vlan, littleEndian) };
}

/** Sets the number of queue pairs. */
export function pairsCommand(pairs: number, littleEndian: boolean): NetCommand {
  return {
    class: ctrl.VIRTIO_NET_CTRL_MQ,
    command: ctrl.VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
    data: le16(pairs, littleEndian),
  };
}

/** Turns receive-side scaling on. */
export function scalingCommand(config: ScalingConfig, littleEndian: boolean): NetCommand {
  const data = encodeScaling(config, littleEndian);
  return { class: ctrl.VIRTIO_NET_CTRL_MQ, command: ctrl.VIRTIO_NET_CTRL_MQ_RSS_CONFIG, data };
}

/** Has the device report hashes. */
export function hashCommand(config: HashConfig, littleEndian: boolean): NetCommand {
  return {
    class: ctrl.VIRTIO_NET_CTRL_MQ,
    command: ctrl.VIRTIO_NET_CTRL_MQ_HASH_CONFIG,
    data: encodeHash(config, littleEndian),
  };
}

/** Sets the offloads of the receiving side, by their feature bits. */
export function guestOffloadsCommand(offloads: bigint, littleEndian: boolean): NetCommand {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, offloads, littleEndian);
  return { class: ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS, command: ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, data };
}

function le16(value: number, littleEndian: boolean): Uint8Array {
  const data = new Uint8Array(2);
  new DataView(data.buffer).setUint16(0, value, littleEndian);
  return data;
}
