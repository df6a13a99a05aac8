import type { Random } from '@virtio-platform/device-kit';
import { FeatureSet } from '@virtio-platform/core/features';
import * as ctrl from '../control/control-commands.ts';
import * as commands from '../control/net-command.ts';
import type { NetCommand } from '../control/net-command.ts';
import type { NetConfig } from '../net-config.ts';
import * as feature from '../net-features.ts';
import { GUEST_OFFLOADS } from '../offload/offload-set.ts';
import { NET_HASH_TYPES } from '../receive-side-scaling/frame-hash.ts';
import type { HashConfig } from '../receive-side-scaling/scaling-config.ts';
import type { NetModel } from './net-model.ts';
import { MULTICASTS, TEST_VLANS, UNICASTS } from './random-frames.ts';

/** A command, and what it does to the model where the device does it. */
export interface ModelCommand {
  /** As messages have it. */
  readonly name: string;
  readonly command: NetCommand;
  /** Whether the device has to do it. */
  readonly isRight: boolean;
  readonly apply: (model: NetModel) => void;
}

/** What commands may be like. */
export interface CommandLimits {
  readonly accepted: FeatureSet;
  readonly littleEndian: boolean;
  /** Pairs of queues that exist. */
  readonly pairs: number;
  readonly config: NetConfig | undefined;
}

/** In percent: commands that the device has to refuse. */
const WRONG = 15;
/** Bytes of a key. */
const KEY = 40;
const NOTHING = (): void => {};

/** Draws commands. */
export class RandomCommands {
  readonly #random: Random;
  readonly #limits: CommandLimits;
  readonly #kinds: readonly (() => ModelCommand)[];

  constructor(random: Random, limits: CommandLimits) {
    this.#random = random;
    this.#limits = limits;
    const has = (feature: number): boolean => limits.accepted.has(feature);
    const kinds: (() => ModelCommand)[] = [];
    if (has(feature.VIRTIO_NET_F_CTRL_RX))
      kinds.push(
        () => this.#promiscuous(),
        () => this.#mode(),
        () => this.#tables(),
      );
    if (has(feature.VIRTIO_NET_F_CTRL_VLAN)) kinds.push(() => this.#vlan());
    if (has(feature.VIRTIO_NET_F_CTRL_MAC_ADDR)) kinds.push(() => this.#address());
    if (has(feature.VIRTIO_NET_F_MQ)) kinds.push(() => this.#pairs());
    if (has(feature.VIRTIO_NET_F_RSS)) kinds.push(() => this.#scaling());
    if (has(feature.VIRTIO_NET_F_HASH_REPORT)) kinds.push(() => this.#hash());
    // QEMU refuses the command where its network has no offloads.
    if (has(feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) && has(feature.VIRTIO_NET_F_GUEST_CSUM))
      kinds.push(() => this.#offloads());
    this.#kinds = kinds;
  }

  /** Any command. */
  any(): ModelCommand {
    if (this.#kinds.length === 0 || this.#random.chance(WRONG)) return this.#wrong();
    return this.#random.pick(this.#kinds)();
  }

  /** The command that lets every frame pass. */
  passAll(): ModelCommand {
    return this.#modeOf(ctrl.VIRTIO_NET_CTRL_RX_PROMISC, true);
  }

  #promiscuous(): ModelCommand {
    return this.#modeOf(ctrl.VIRTIO_NET_CTRL_RX_PROMISC, this.#random.chance(20));
  }

  #mode(): ModelCommand {
    const isExtra = this.#limits.accepted.has(feature.VIRTIO_NET_F_CTRL_RX_EXTRA);
    const most = isExtra ? ctrl.VIRTIO_NET_CTRL_RX_NOBCAST : ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI;
    return this.#modeOf(1 + this.#random.below(most), this.#random.chance(40));
  }

  #modeOf(mode: number, isOn: boolean): ModelCommand {
    const apply = (model: NetModel): void => model.filter.setMode(mode, isOn);
    return {
      name: `receive mode ${mode} ${isOn ? 'on' : 'off'}`,
      command: commands.modeCommand(mode, isOn),
      isRight: true,
      apply,
    };
  }

  #tables(): ModelCommand {
    const [unicast, multicast] = [UNICASTS, MULTICASTS].map((all) => all.filter(() => this.#random.chance(50)));
    const command = commands.tablesCommand(unicast!, multicast!, this.#limits.littleEndian);
    const apply = (model: NetModel): void => model.filter.setTables(unicast!, multicast!);
    return { name: 'tables of addresses', command, isRight: true, apply };
  }

  #vlan(): ModelCommand {
    const [vlan, passes] = [this.#random.pick(TEST_VLANS), this.#random.chance(60)];
    const command = commands.vlanCommand(vlan, passes, this.#limits.littleEndian);
    const apply = (model: NetModel): void => model.filter.setVlan(vlan, passes);
    return { name: `VLAN ${vlan} ${passes ? 'added' : 'deleted'}`, command, isRight: true, apply };
  }

  #address(): ModelCommand {
    const own = `02:00:00:00:01:0${this.#random.below(4)}`;
    const apply = (model: NetModel): void => void (model.filter.own = own);
    return { name: `address ${own}`, command: commands.addressCommand(own), isRight: true, apply };
  }

  #pairs(): ModelCommand {
    const pairs = 1 + this.#random.below(this.#limits.pairs);
    const command = commands.pairsCommand(pairs, this.#limits.littleEndian);
    return { name: `${pairs} pairs`, command, isRight: true, apply: (model) => model.setPairs() };
  }

  #scaling(): ModelCommand {
    const { pairs, littleEndian, config } = this.#limits;
    const random = this.#random;
    const longest = Math.max(1, config?.longestTable ?? 1);
    const entries = 2 ** random.below(Math.floor(Math.log2(longest)) + 1);
    const table = Array.from({ length: entries }, () => random.below(pairs));
    const scaling = {
      ...this.#hashConfig(),
      table,
      unclassified: random.below(pairs),
      transmitQueues: 1 + random.below(pairs),
    };
    const command = commands.scalingCommand(scaling, littleEndian);
    return { name: 'receive-side scaling', command, isRight: true, apply: (model) => model.setScaling(scaling) };
  }

  #hash(): ModelCommand {
    const hash = this.#hashConfig();
    const command = commands.hashCommand(hash, this.#limits.littleEndian);
    return { name: 'hashes', command, isRight: true, apply: (model) => model.setHash(hash) };
  }

  #hashConfig(): HashConfig {
    const { config } = this.#limits;
    const types = config?.hashTypes ?? 0;
    const length = Math.min(KEY, config?.longestKey ?? 0);
    const key = Uint8Array.from({ length }, () => this.#random.below(256));
    return { hashTypes: this.#random.next() & types & NET_HASH_TYPES, key };
  }

  #offloads(): ModelCommand {
    const accepted = [...this.#limits.accepted.and(GUEST_OFFLOADS)];
    let chosen = FeatureSet.of(...accepted.filter(() => this.#random.chance(60)));
    if (!chosen.has(feature.VIRTIO_NET_F_GUEST_CSUM)) chosen = FeatureSet.EMPTY;
    const command = commands.guestOffloadsCommand(chosen.bits, this.#limits.littleEndian);
    return { name: `offloads 0x${chosen.bits.toString(16)}`, command, isRight: true, apply: NOTHING };
  }

  /** A command that no device does. */
  #wrong(): ModelCommand {
    const { pairs, littleEndian } = this.#limits;
    return this.#random.pick([
      wrong('an unknown class', 0xc8, 0),
      wrong('an unknown receive mode', ctrl.VIRTIO_NET_CTRL_RX, 0x63, 1),
      wrong('a receive mode without its value', ctrl.VIRTIO_NET_CTRL_RX, ctrl.VIRTIO_NET_CTRL_RX_PROMISC),
      wrong('half an address', ctrl.VIRTIO_NET_CTRL_MAC, ctrl.VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 0, 0),
      wrong('VLAN 65535', ctrl.VIRTIO_NET_CTRL_VLAN, ctrl.VIRTIO_NET_CTRL_VLAN_ADD, 0xff, 0xff),
      refused('0 pairs', commands.pairsCommand(0, littleEndian)),
      refused('more pairs than there are', commands.pairsCommand(pairs + 1, littleEndian)),
    ]);
  }
}

/** A command that the device has to refuse, by its bytes. */
function wrong(name: string, ofClass: number, command: number, ...data: readonly number[]): ModelCommand {
  return refused(name, { class: ofClass, command, data: Uint8Array.from(data) });
}

function refused(name: string, command: NetCommand): ModelCommand {
  return { name, command, isRight: false, apply: NOTHING };
}
