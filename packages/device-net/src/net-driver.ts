import { type BufferMapping, type DriverQueue } from '@virtio-platform/core';
import { MappingFailures, type MessageDriver, NO_BUFFER } from '@virtio-platform/device-kit';
import { FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { ControlChannel } from './control/control-channel.ts';
import {
  VIRTIO_NET_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET,
  VIRTIO_NET_CTRL_MQ,
  VIRTIO_NET_CTRL_MQ_RSS_CONFIG,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_CTRL_RX_ALLMULTI,
  VIRTIO_NET_CTRL_RX_PROMISC,
} from './control/control-commands.ts';
import {
  addressCommand,
  ANNOUNCE_ACK,
  guestOffloadsCommand,
  hashCommand,
  modeCommand,
  pairsCommand,
  scalingCommand,
  tablesCommand,
  vlanCommand,
  type NetCommand,
} from './control/net-command.ts';
import {
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_HASH_REPORT,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_RSS,
  VIRTIO_NET_F_SPEED_DUPLEX,
  VIRTIO_NET_F_STATUS,
} from './net-features.ts';
import type { NetConfig } from './net-config.ts';
import { NET_HASH_HEADER_SIZE, NET_HEADER_SIZE, NET_LEGACY_HEADER_SIZE, VIRTIO_NET_OK } from './layout.ts';
import { NetLink } from './net-link.ts';
import { macText } from './net-settings.ts';
import { GUEST_OFFLOADS, guestOffloads, HOST_OFFLOADS } from './offload/offload-set.ts';
import type { HashConfig, ScalingConfig } from './receive-side-scaling/scaling-config.ts';

/** What this driver understands of a network device. */
export const NET_DRIVER_FEATURES: FeatureSet = new FeatureSet(
  FeatureSet.of(
    VIRTIO_NET_F_MAC,
    VIRTIO_NET_F_MRG_RXBUF,
    VIRTIO_NET_F_STATUS,
    VIRTIO_NET_F_MTU,
    VIRTIO_NET_F_SPEED_DUPLEX,
    VIRTIO_NET_F_CTRL_VQ,
    VIRTIO_NET_F_CTRL_RX,
    VIRTIO_NET_F_CTRL_RX_EXTRA,
    VIRTIO_NET_F_CTRL_VLAN,
    VIRTIO_NET_F_CTRL_MAC_ADDR,
    VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
    VIRTIO_NET_F_GUEST_ANNOUNCE,
    VIRTIO_NET_F_MQ,
    VIRTIO_NET_F_RSS,
    VIRTIO_NET_F_HASH_REPORT,
  ).bits |
    HOST_OFFLOADS.bits |
    GUEST_OFFLOADS.bits,
);

/** The settings of the network driver half. */
export interface NetDriverOptions {
  readonly accepted: FeatureSet;
  /** Packets of each pair in flight at once. */
  readonly depth: number;
  /** Longest packet in bytes, without its header. */
  readonly bytes: number;
  readonly buffers: BufferMapping;
  /** Of headers and commands: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
  /** Sends an available buffer notification. */
  readonly notify: (queue: Virtqueue) => void;
  /** Reads the configuration of the device; without it the driver knows nothing of it. */
  readonly readConfig?: () => NetConfig;
}

/**
 * The indices of the queues of a network device, those of each pair together and the control queue last. Section 5.1.2.
 */
export function netQueues({ queuePairs, controlQueue }: NetConfig): number[] {
  const indices = Array.from({ length: 2 * queuePairs }, (_, index) => index);
  return controlQueue < 0 ? indices : [...indices, controlQueue];
}

/** Entries of the control queue that a command takes, with a descriptor of its own for class and command. */
const COMMAND_ENTRIES = 2;

/**
 * The driver half of a network device (specification 1.4 section 5.1): sends and receives frames on pairs of queues,
 * leaves checksums and segments to the device where that was negotiated, and sends commands. With MQ it asks for all
 * pairs, and uses the first one alone when the device refuses.
 */
export class NetDriver implements MessageDriver {
  /** All pairs that there are; only {@link links} may be used to send. */
  readonly pairs: readonly NetLink[];
  readonly #options: NetDriverOptions;
  readonly #littleEndian: boolean;
  readonly #control: ControlChannel | undefined;
  #config: NetConfig | undefined;
  #mac: string | undefined;
  /** Pairs that may be used to send; 0 until that is known. */
  #active: number;
  #isAsked = false;
  /** The device asks for an acknowledgement that was not sent yet. */
  #isAckDue = false;
  #isAnnounceAsked = false;
  readonly #failures: MappingFailures = new MappingFailures('a command of the control queue');

  /**
   * `queues` are those of {@link netQueues}. Throws {@link DmaError} when there is no memory; then nothing stays
   * allocated.
   */
  constructor(memory: GuestMemory, queues: readonly DriverQueue[], options: NetDriverOptions) {
    const { accepted, byteOrder } = options;
    const queuePairs = Math.floor(queues.length / 2);
    const isMerged = accepted.has(VIRTIO_NET_F_MRG_RXBUF);
    const isModern = accepted.has(VIRTIO_F_VERSION_1);
    const plain = isMerged || isModern ? NET_HEADER_SIZE : NET_LEGACY_HEADER_SIZE;
    const header = accepted.has(VIRTIO_NET_F_HASH_REPORT) ? NET_HASH_HEADER_SIZE : plain;
    const splitsHeader = !isModern && !accepted.has(VIRTIO_F_ANY_LAYOUT);
    this.#options = options;
    this.#littleEndian = byteOrder === 'little';
    this.#config = options.readConfig?.();
    this.#mac = this.#config?.mac;
    const links: NetLink[] = [];
    this.pairs = links;
    const form = { header, isMerged, splitsHeader, guest: guestOffloads(accepted), pump: (): void => this.#pump() };
    try {
      for (let i = 0; i < queuePairs; i++)
        links.push(new NetLink(memory, queues[2 * i]!, queues[2 * i + 1]!, { ...options, ...form }));
      const control = queues[2 * queuePairs];
      const isUsable = queuePairs > 1 || (control?.queue.size ?? 0) >= COMMAND_ENTRIES + (splitsHeader ? 1 : 0);
      if (control !== undefined && isUsable)
        this.#control = new ControlChannel(memory, control, { ...options, splitsHeader });
    } catch (error) {
      for (const link of links) link.dispose();
      throw error;
    }
    this.#active = this.#asksForPairs ? 0 : 1;
    this.#isAckDue = this.#isAnnounceAsked = this.#config?.isAnnounceAsked === true;
  }

  get links(): readonly NetLink[] {
    return this.pairs.slice(0, this.#active);
  }

  get isConnected(): boolean {
    return this.#active > 0;
  }

  /** Six bytes in hexadecimal, with colons; `undefined` where the device has no address. */
  get mac(): string | undefined {
    return this.#mac;
  }

  /** Bytes of the longest IP packet; `undefined` where the device does not say. */
  get mtu(): number | undefined {
    return this.#config?.mtu;
  }

  /** Whether the link is up; a device without STATUS has one that always is. */
  get isLinkUp(): boolean {
    return this.#config?.isLinkUp ?? true;
  }

  /** Mbit/s; `undefined` where that is not known. */
  get speed(): number | undefined {
    return this.#config?.speed;
  }

  /** `undefined` where that is not known. */
  get duplex(): 'half' | 'full' | undefined {
    return this.#config?.duplex;
  }

  /** What was read of the configuration last; `undefined` where the driver cannot read it. */
  get config(): NetConfig | undefined {
    return this.#config;
  }

  /** Whether commands can be sent at all. */
  get hasControl(): boolean {
    return this.#control !== undefined;
  }

  connect(): number {
    if (!this.#asksForPairs || this.isConnected) return 0;
    const control = this.#control!;
    if (!this.#isAsked) return this.#ask(control);
    const answer = this.take();
    if (answer < 0) return 0;
    if (answer !== VIRTIO_NET_OK) this.#active = 1;
    return 1;
  }

  /**
   * Reads the configuration again. A request of the device to announce itself is acknowledged; the frames are those of
   * {@link takeAnnouncement}. Throws {@link DeviceError}.
   */
  configChanged(): string | undefined {
    const before = this.#config;
    if (this.#options.readConfig === undefined || before === undefined) return undefined;
    const now = (this.#config = this.#options.readConfig());
    const changes: string[] = [];
    if (now.isLinkUp !== before.isLinkUp) changes.push(now.isLinkUp ? 'link from down to up' : 'link from up to down');
    if (now.mtu !== before.mtu) changes.push(`mtu ${before.mtu ?? 'none'} to ${now.mtu ?? 'none'}`);
    if (now.isAnnounceAsked && !this.#isAckDue) {
      changes.push('status (an announcement is asked for)');
      this.#isAckDue = this.#isAnnounceAsked = true;
      this.#pump();
    }
    return changes.length === 0 ? undefined : changes.join(', ');
  }

  /** Whether the device asked for gratuitous frames since the last call. The user of the driver half sends them. */
  takeAnnouncement(): boolean {
    const isAsked = this.#isAnnounceAsked;
    this.#isAnnounceAsked = false;
    return isAsked;
  }

  /**
   * Sends a command without waiting. Returns 0, or a negative reason: retry after {@link take}. Throws `TypeError`
   * without a control queue.
   */
  begin(command: NetCommand): number {
    const control = this.#required();
    const reason = control.submit(command);
    if (reason === 0) control.publish();
    return reason;
  }

  /** The answer to the command that was sent: `VIRTIO_NET_OK`, `VIRTIO_NET_ERR`, or -1 for none yet. */
  take(): number {
    const { sent } = this.#required();
    const answer = this.#control!.take();
    if (answer === VIRTIO_NET_OK && sent !== undefined) this.#settle(sent);
    return sent === ANNOUNCE_ACK ? -1 : answer;
  }

  /**
   * Sends a command and waits for the answer: whether the device did it. Throws {@link DeviceError}
   * `ERR_DEVICE_STALLED` where none comes in two seconds, {@link DmaError} where the command cannot be mapped, and
   * `TypeError` without a control queue.
   */
  execute(command: NetCommand): boolean {
    const control = this.#required();
    let reason = this.begin(command);
    while (reason !== 0) {
      // Another command is under way, or the acknowledgement of an announcement.
      if (reason === NO_BUFFER) this.#wait(control);
      else this.#failures.failed(reason);
      reason = this.begin(command);
    }
    this.#failures.ended();
    return this.#wait(control) === VIRTIO_NET_OK;
  }

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
    if (isExtra) this.#need(VIRTIO_NET_F_CTRL_RX_EXTRA, 'CTRL_RX_EXTRA');
    else this.#need(VIRTIO_NET_F_CTRL_RX, 'CTRL_RX');
    return this.execute(modeCommand(mode, isOn));
  }

  /** Sets the addresses that are received beside the own one. Needs CTRL_RX. */
  setAddressTables(unicast: readonly string[], multicast: readonly string[]): boolean {
    this.#need(VIRTIO_NET_F_CTRL_RX, 'CTRL_RX');
    return this.execute(tablesCommand(unicast, multicast, this.#littleEndian));
  }

  /** Sets the own address, such as `52:54:00:12:34:56`. Needs CTRL_MAC_ADDR. */
  setAddress(mac: string): boolean {
    this.#need(VIRTIO_NET_F_CTRL_MAC_ADDR, 'CTRL_MAC_ADDR');
    return this.execute(addressCommand(mac));
  }

  /** Receives frames of a VLAN, 0 to 4095, or no longer. Needs CTRL_VLAN. */
  setVlan(vlan: number, passes: boolean): boolean {
    this.#need(VIRTIO_NET_F_CTRL_VLAN, 'CTRL_VLAN');
    return this.execute(vlanCommand(vlan, passes, this.#littleEndian));
  }

  /** Uses so many pairs of queues, and ends receive-side scaling. Needs MQ. */
  setQueuePairs(pairs: number): boolean {
    this.#need(VIRTIO_NET_F_MQ, 'MQ');
    return this.execute(pairsCommand(pairs, this.#littleEndian));
  }

  /** Has received frames spread over pairs by their hash. Needs RSS. */
  setReceiveScaling(config: ScalingConfig): boolean {
    this.#need(VIRTIO_NET_F_RSS, 'RSS');
    return this.execute(scalingCommand(config, this.#littleEndian));
  }

  /** Has hashes put into the headers of received frames. Needs HASH_REPORT. */
  setHashes(config: HashConfig): boolean {
    this.#need(VIRTIO_NET_F_HASH_REPORT, 'HASH_REPORT');
    return this.execute(hashCommand(config, this.#littleEndian));
  }

  /** Takes only frames with these offloads from now on: a part of the GUEST features accepted. */
  setGuestOffloads(offloads: FeatureSet): boolean {
    this.#need(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, 'CTRL_GUEST_OFFLOADS');
    return this.execute(guestOffloadsCommand(offloads.bits, this.#littleEndian));
  }

  dispose(): void {
    for (const link of this.pairs) link.dispose();
    this.#control?.dispose();
  }

  get #asksForPairs(): boolean {
    return this.#control !== undefined && this.pairs.length > 1 && this.#options.accepted.has(VIRTIO_NET_F_MQ);
  }

  /**
   * The device gets receive buffers before the command, because it may use the new pairs at once. The command is mapped
   * before them, because they take what room there is.
   */
  #ask(control: ControlChannel): number {
    const reason = control.submit(pairsCommand(this.pairs.length, this.#littleEndian));
    if (reason < 0) {
      this.#failures.failed(reason);
      return 0;
    }
    this.#isAsked = true;
    for (const link of this.pairs) link.flush();
    control.publish();
    return 1;
  }

  /** Sends the acknowledgement of an announcement once the control queue is free, and takes its answer. */
  #pump(): void {
    if (this.#control?.sent === ANNOUNCE_ACK) this.#control.take();
    if (!this.#isAckDue || this.#control === undefined || this.#control.sent !== undefined) return;
    if (this.begin(ANNOUNCE_ACK) === 0) this.#isAckDue = false;
  }

  #wait(control: ControlChannel): number {
    const { sent } = control;
    const answer = control.wait();
    if (answer === VIRTIO_NET_OK && sent !== undefined) this.#settle(sent);
    return answer;
  }

  /** What the driver has to do with a command that the device did. */
  #settle({ class: ofClass, command, data }: NetCommand): void {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    if (ofClass === VIRTIO_NET_CTRL_MAC && command === VIRTIO_NET_CTRL_MAC_ADDR_SET) this.#mac = macText(data);
    if (ofClass === VIRTIO_NET_CTRL_GUEST_OFFLOADS) {
      const guest = guestOffloads(new FeatureSet(view.getBigUint64(0, this.#littleEndian)));
      for (const link of this.pairs) link.setGuestOffloads(guest);
    }
    if (ofClass !== VIRTIO_NET_CTRL_MQ) return;
    if (command === VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
      this.#active = Math.min(view.getUint16(0, this.#littleEndian), this.pairs.length);
    if (command === VIRTIO_NET_CTRL_MQ_RSS_CONFIG) {
      const at = 8 + 2 * (view.getUint16(4, this.#littleEndian) + 1);
      this.#active = Math.min(view.getUint16(at, this.#littleEndian), this.pairs.length);
    }
  }

  #need(feature: number, name: string): void {
    if (!this.#options.accepted.has(feature)) throw new TypeError(`NET_${name} was not negotiated`);
  }

  #required(): ControlChannel {
    if (this.#control === undefined) throw new TypeError('the device has no control queue');
    return this.#control;
  }
}
