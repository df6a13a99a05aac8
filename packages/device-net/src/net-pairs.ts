import { type BufferMapping, type DriverQueue } from '@virtio-platform/core';
import { MappingFailures, type MessageDriver, NO_BUFFER } from '@virtio-platform/device-kit';
import { type FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { ControlChannel } from './control/control-channel.ts';
import { commandEffect } from './control/command-effect.ts';
import { nameOfCommand } from './control/name-of-command.ts';
import { ANNOUNCE_ACK, pairsCommand, type NetCommand } from './control/net-command.ts';
import { VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF } from './net-features.ts';
import type { NetConfig } from './net-config.ts';
import { VIRTIO_NET_OK } from './layout.ts';
import { NetLink } from './net-link.ts';
import { netHeaderSize } from './offload/net-header.ts';
import { guestOffloads } from './offload/offload-set.ts';

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
 * The queues of a network device (specification 1.4 section 5.1): pairs, on which frames are sent and received, and the
 * control queue, to which any command is sent. With MQ the driver asks for all pairs, and uses the first one alone when
 * the device refuses.
 */
export class NetPairs implements MessageDriver {
  /** All pairs that there are; only {@link links} may be used to send. */
  readonly pairs: readonly NetLink[];
  readonly #readConfig: (() => NetConfig) | undefined;
  protected readonly accepted: FeatureSet;
  protected readonly littleEndian: boolean;
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
    const header = netHeaderSize(accepted);
    const splitsHeader = !accepted.has(VIRTIO_F_VERSION_1) && !accepted.has(VIRTIO_F_ANY_LAYOUT);
    this.#readConfig = options.readConfig;
    this.accepted = accepted;
    this.littleEndian = byteOrder === 'little';
    this.#config = this.#readConfig?.();
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
    if (this.#readConfig === undefined || before === undefined) return undefined;
    const now = (this.#config = this.#readConfig());
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

  describeBuffer(queue: number, id: number): string | undefined {
    const sent = this.#control?.sent;
    if (queue === this.#control?.queue) return sent && `command ${nameOfCommand(sent)}`;
    return this.pairs.map((link) => link.describeBuffer(queue, id)).find((text) => text !== undefined);
  }

  dispose(): void {
    for (const link of this.pairs) link.dispose();
    this.#control?.dispose();
  }

  get #asksForPairs(): boolean {
    return this.#control !== undefined && this.pairs.length > 1 && this.accepted.has(VIRTIO_NET_F_MQ);
  }

  /**
   * The device gets receive buffers before the command, because it may use the new pairs at once. The command is mapped
   * before them, because they take what room there is.
   */
  #ask(control: ControlChannel): number {
    const reason = control.submit(pairsCommand(this.pairs.length, this.littleEndian));
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
  #settle(command: NetCommand): void {
    const { mac, offloads, pairs } = commandEffect(command, this.littleEndian);
    if (mac !== undefined) this.#mac = mac;
    if (offloads !== undefined) for (const link of this.pairs) link.setGuestOffloads(guestOffloads(offloads));
    if (pairs !== undefined) this.#active = Math.max(1, Math.min(pairs, this.pairs.length));
  }

  #required(): ControlChannel {
    if (this.#control === undefined) throw new TypeError('the device has no control queue');
    return this.#control;
  }
}
