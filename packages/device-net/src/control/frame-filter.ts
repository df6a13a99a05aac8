import type { PacketLayers } from '../offload/packet-layers.ts';
import { MAC_BYTES } from '../layout.ts';
import * as ctrl from './control-commands.ts';

/** The first byte of a group address has this bit. */
const GROUP = 1;

/**
 * Which frames a network device passes on to its driver: receive modes, addresses and VLANs (specification 1.4 section
 * 5.1.6.5.1 to 5.1.6.5.3). It passes all until the driver switches promiscuous mode off, as QEMU's does, and in
 * promiscuous mode frames of every VLAN. Hot: no allocation.
 */
export class FrameFilter {
  /** By the command that sets it. */
  readonly #modes: Uint8Array = new Uint8Array(ctrl.VIRTIO_NET_CTRL_RX_NOBCAST + 1);
  readonly #own: Uint8Array = new Uint8Array(MAC_BYTES);
  readonly #unicast: Uint8Array = new Uint8Array(ctrl.MOST_ADDRESSES * MAC_BYTES);
  readonly #multicast: Uint8Array = new Uint8Array(ctrl.MOST_ADDRESSES * MAC_BYTES);
  /** Addresses in each table; -1 where the driver gave more than there is room for. */
  #unicasts = 0;
  #multicasts = 0;
  readonly #vlans: Uint8Array = new Uint8Array(ctrl.VLANS);

  /** As after a reset. Without `filtersVlans`, frames of all VLANs pass. */
  reset(own: Uint8Array, filtersVlans: boolean): void {
    this.#modes.fill(0);
    this.#modes[ctrl.VIRTIO_NET_CTRL_RX_PROMISC] = 1;
    this.#unicasts = this.#multicasts = 0;
    this.#vlans.fill(filtersVlans ? 0 : 1);
    this.setAddress(own);
  }

  /** Sets the mode of a command of the class RX. */
  setMode(command: number, isOn: boolean): void {
    this.#modes[command] = isOn ? 1 : 0;
  }

  setAddress(own: Uint8Array): void {
    this.#own.set(own);
  }

  setVlan(vlan: number, passes: boolean): void {
    this.#vlans[vlan] = passes ? 1 : 0;
  }

  /** Takes both tables of addresses: `unicasts` and `multicasts` of them, from `unicastAt` and `multicastAt` on. */
  setTables(bytes: Uint8Array, unicastAt: number, unicasts: number, multicastAt: number, multicasts: number): void {
    this.#unicasts = fill(this.#unicast, bytes, unicastAt, unicasts);
    this.#multicasts = fill(this.#multicast, bytes, multicastAt, multicasts);
  }

  /** Whether the driver gets a frame of `length` bytes. Hot. */
  passes(frame: Uint8Array, length: number, { vlan }: PacketLayers): boolean {
    const modes = this.#modes;
    if (modes[ctrl.VIRTIO_NET_CTRL_RX_PROMISC] === 1) return true;
    if (length < MAC_BYTES || (vlan >= 0 && this.#vlans[vlan] === 0)) return false;
    if ((frame[0]! & GROUP) === 0) {
      if (modes[ctrl.VIRTIO_NET_CTRL_RX_NOUNI] === 1) return false;
      if (modes[ctrl.VIRTIO_NET_CTRL_RX_ALLUNI] === 1 || this.#unicasts < 0 || isAt(this.#own, 0, frame)) return true;
      return isListed(this.#unicast, this.#unicasts, frame);
    }
    if (isBroadcast(frame)) return modes[ctrl.VIRTIO_NET_CTRL_RX_NOBCAST] === 0;
    if (modes[ctrl.VIRTIO_NET_CTRL_RX_NOMULTI] === 1) return false;
    if (modes[ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI] === 1 || this.#multicasts < 0) return true;
    return isListed(this.#multicast, this.#multicasts, frame);
  }
}

/** Copies so many addresses to a table, and returns how many it has: -1 where there are too many. */
function fill(table: Uint8Array, bytes: Uint8Array, at: number, count: number): number {
  if (count > ctrl.MOST_ADDRESSES) return -1;
  table.set(bytes.subarray(at, at + count * MAC_BYTES));
  return count;
}

function isBroadcast(frame: Uint8Array): boolean {
  for (let i = 0; i < MAC_BYTES; i++) if (frame[i] !== 0xff) return false;
  return true;
}

function isListed(table: Uint8Array, count: number, frame: Uint8Array): boolean {
  for (let i = 0; i < count; i++) if (isAt(table, i * MAC_BYTES, frame)) return true;
  return false;
}

function isAt(table: Uint8Array, at: number, frame: Uint8Array): boolean {
  for (let i = 0; i < MAC_BYTES; i++) if (table[at + i] !== frame[i]) return false;
  return true;
}
