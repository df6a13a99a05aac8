import type { FeatureSet } from '@virtio-platform/core/features';
import { VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_RX_PROMISC } from './control/control-commands.ts';
import * as commands from './control/net-command.ts';
import { FEATURES_OF_BOTH_HALVES } from './features-of-both-halves.ts';
import * as feature from './net-features.ts';
import { NetPairs } from './net-pairs.ts';
import type { HashConfig, ScalingConfig } from './receive-side-scaling/scaling-config.ts';

/** What this driver understands of a network device. */
export const NET_DRIVER_FEATURES: FeatureSet = FEATURES_OF_BOTH_HALVES.with(feature.VIRTIO_NET_F_MTU)
  .with(feature.VIRTIO_NET_F_SPEED_DUPLEX)
  .with(feature.VIRTIO_NET_F_MQ);

/**
 * The driver half of a network device (specification 1.4 section 5.1): sends and receives frames on pairs of queues,
 * leaves checksums and segments to the device where that was negotiated, and sends commands. Each kind of command is a
 * method, which refuses one whose feature was not negotiated; `execute` and `begin` send it.
 */
export class NetDriver extends NetPairs {
  /** Receives every frame. Needs CTRL_RX; as every command it returns whether the device did it. */
  setPromiscuous(isOn: boolean): boolean {
    return this.setMode(VIRTIO_NET_CTRL_RX_PROMISC, isOn);
  }

  /** Receives every multicast frame. Needs CTRL_RX. */
  setAllMulticast(isOn: boolean): boolean {
    return this.setMode(VIRTIO_NET_CTRL_RX_ALLMULTI, isOn);
  }

  /** Switches the receive mode `mode` (`VIRTIO_NET_CTRL_RX_NOBCAST`). Needs CTRL_RX, or CTRL_RX_EXTRA. */
  setMode(mode: number, isOn: boolean): boolean {
    const isExtra = mode > VIRTIO_NET_CTRL_RX_ALLMULTI;
    if (isExtra) this.#need(feature.VIRTIO_NET_F_CTRL_RX_EXTRA, 'CTRL_RX_EXTRA');
    else this.#need(feature.VIRTIO_NET_F_CTRL_RX, 'CTRL_RX');
    return this.execute(commands.modeCommand(mode, isOn));
  }

  /** Sets the addresses that are received beside the own one. Needs CTRL_RX. */
  setAddressTables(unicast: readonly string[], multicast: readonly string[]): boolean {
    this.#need(feature.VIRTIO_NET_F_CTRL_RX, 'CTRL_RX');
    return this.execute(commands.tablesCommand(unicast, multicast, this.littleEndian));
  }

  /** Sets the own address, such as `52:54:00:12:34:56`. Needs CTRL_MAC_ADDR. */
  setAddress(mac: string): boolean {
    this.#need(feature.VIRTIO_NET_F_CTRL_MAC_ADDR, 'CTRL_MAC_ADDR');
    return this.execute(commands.addressCommand(mac));
  }

  /** Receives frames of a VLAN, 0 to 4095, or no longer. Needs CTRL_VLAN. */
  setVlan(vlan: number, passes: boolean): boolean {
    this.#need(feature.VIRTIO_NET_F_CTRL_VLAN, 'CTRL_VLAN');
    return this.execute(commands.vlanCommand(vlan, passes, this.littleEndian));
  }

  /** Uses so many pairs of queues, and ends receive-side scaling. Needs MQ. */
  setQueuePairs(pairs: number): boolean {
    this.#need(feature.VIRTIO_NET_F_MQ, 'MQ');
    return this.execute(commands.pairsCommand(pairs, this.littleEndian));
  }

  /** Has received frames spread over pairs by their hash. Needs RSS. */
  setReceiveScaling(config: ScalingConfig): boolean {
    this.#need(feature.VIRTIO_NET_F_RSS, 'RSS');
    return this.execute(commands.scalingCommand(config, this.littleEndian));
  }

  /** Has hashes put into the headers of received frames. Needs HASH_REPORT. */
  setHashes(config: HashConfig): boolean {
    this.#need(feature.VIRTIO_NET_F_HASH_REPORT, 'HASH_REPORT');
    return this.execute(commands.hashCommand(config, this.littleEndian));
  }

  /** Takes only frames with these offloads from now on: a part of the GUEST features accepted. */
  setGuestOffloads(offloads: FeatureSet): boolean {
    this.#need(feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 'CTRL_GUEST_OFFLOADS');
    return this.execute(commands.guestOffloadsCommand(offloads.bits, this.littleEndian));
  }

  #need(feature: number, name: string): void {
    if (!this.accepted.has(feature)) throw new TypeError(`NET_${name} was not negotiated`);
  }
}
