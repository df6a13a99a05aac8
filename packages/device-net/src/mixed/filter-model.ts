import * as ctrl from '../control/control-commands.ts';

/** The address of every station. */
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** What a filter looks at in a frame. */
export interface FilteredFrame {
  /** Destination address, in lower case. */
  readonly to: string;
  /** The VLAN, or -1. */
  readonly vlan: number;
}

/**
 * What the filter of a network device has to be after a series of commands: the model that a workload compares a device
 * with. It shares nothing with the filter of the device half.
 */
export class FilterModel {
  readonly #modes: Set<number> = new Set([ctrl.VIRTIO_NET_CTRL_RX_PROMISC]);
  readonly #listed: Set<string> = new Set();
  readonly #vlans: Set<number> = new Set();
  readonly #filtersVlans: boolean;
  own: string;

  /** `own` is the address, in lower case. */
  constructor(own: string, filtersVlans: boolean) {
    this.own = own;
    this.#filtersVlans = filtersVlans;
  }

  setMode(mode: number, isOn: boolean): void {
    if (isOn) this.#modes.add(mode);
    else this.#modes.delete(mode);
  }

  setTables(unicast: readonly string[], multicast: readonly string[]): void {
    this.#listed.clear();
    for (const address of [...unicast, ...multicast]) this.#listed.add(address);
  }

  setVlan(vlan: number, passes: boolean): void {
    if (passes) this.#vlans.add(vlan);
    else this.#vlans.delete(vlan);
  }

  /** Whether the device has to pass a frame; otherwise it has to drop it. */
  passes({ to, vlan }: FilteredFrame): boolean {
    const has = (mode: number): boolean => this.#modes.has(mode);
    if (has(ctrl.VIRTIO_NET_CTRL_RX_PROMISC)) return true;
    if (vlan >= 0 && this.#filtersVlans && !this.#vlans.has(vlan)) return false;
    if (to === BROADCAST) return !has(ctrl.VIRTIO_NET_CTRL_RX_NOBCAST);
    const isGroup = (Number.parseInt(to.slice(0, 2), 16) & 1) === 1;
    if (has(isGroup ? ctrl.VIRTIO_NET_CTRL_RX_NOMULTI : ctrl.VIRTIO_NET_CTRL_RX_NOUNI)) return false;
    if (has(isGroup ? ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI : ctrl.VIRTIO_NET_CTRL_RX_ALLUNI)) return true;
    return this.#listed.has(to) || to === this.own;
  }
}
