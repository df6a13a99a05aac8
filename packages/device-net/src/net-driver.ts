import { type BufferMapping, type DriverQueue } from '@virtio-platform/core';
import { BufferSlots, MappingFailures, type MessageDriver, type MessageLink } from '@virtio-platform/device-kit';
import { FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import {
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_STATUS,
} from './net-features.ts';
import type { NetConfig } from './net-config.ts';
import {
  NET_COMMAND_SIZE,
  NET_HEADER_SIZE,
  NET_LEGACY_HEADER_SIZE,
  VIRTIO_NET_CTRL_MQ,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_ERR,
  VIRTIO_NET_OK,
} from './layout.ts';
import { NetLink } from './net-link.ts';

/** What this driver understands of a network device. */
export const NET_DRIVER_FEATURES: FeatureSet = FeatureSet.of(
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MQ,
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
}

/**
 * The indices of the queues of a network device, those of each pair together and the control queue last. Section 5.1.2.
 */
export function netQueues({ queuePairs, controlQueue }: NetConfig): number[] {
  const indices = Array.from({ length: 2 * queuePairs }, (_, index) => index);
  return controlQueue < 0 ? indices : [...indices, controlQueue];
}

/**
 * The driver half of a network device (specification 1.4 section 5.1): sends and receives whole packets without
 * offloads. With MQ it asks for all pairs of queues, and uses the first one alone when the device refuses.
 */
export class NetDriver implements MessageDriver {
  readonly #memory: GuestMemory;
  readonly #options: NetDriverOptions;
  readonly #links: NetLink[] = [];
  readonly #control: BufferSlots | undefined;
  /** Pairs that may be used; 0 until that is known. */
  #active: number;
  #isAsked = false;
  readonly #failures: MappingFailures = new MappingFailures('the command that sets the number of queue pairs');

  /**
   * `queues` are those of {@link netQueues}. Throws {@link DmaError} when there is no memory; then nothing stays
   * allocated.
   */
  constructor(memory: GuestMemory, queues: readonly DriverQueue[], options: NetDriverOptions) {
    const { accepted, buffers } = options;
    const queuePairs = Math.floor(queues.length / 2);
    const isMerged = accepted.has(VIRTIO_NET_F_MRG_RXBUF);
    const isModern = accepted.has(VIRTIO_F_VERSION_1);
    const header = isMerged || isModern ? NET_HEADER_SIZE : NET_LEGACY_HEADER_SIZE;
    const splitsHeader = !isModern && !accepted.has(VIRTIO_F_ANY_LAYOUT);
    this.#memory = memory;
    this.#options = options;
    try {
      for (let i = 0; i < queuePairs; i++) {
        const link = new NetLink(memory, queues[2 * i]!, queues[2 * i + 1]!, {
          ...options,
          header,
          isMerged,
          splitsHeader,
        });
        this.#links.push(link);
      }
      const control = queues[2 * queuePairs];
      if (control !== undefined && queuePairs > 1) {
        // On the legacy interface class and command have a descriptor of their own.
        const sizes = { count: 1, readable: NET_COMMAND_SIZE + 2, writable: 1, header: NET_COMMAND_SIZE };
        this.#control = new BufferSlots(memory, control.queue, control.mapping, { ...sizes, buffers });
      }
    } catch (error) {
      for (const link of this.#links) link.dispose();
      throw error;
    }
    this.#active = this.#control === undefined ? 1 : 0;
  }

  get links(): readonly MessageLink[] {
    return this.#links.slice(0, this.#active);
  }

  get isConnected(): boolean {
    return this.#active > 0;
  }

  connect(): number {
    if (this.#control === undefined) return 0;
    if (!this.#isAsked) return this.#ask(this.#control);
    const came = this.#control.poll();
    for (let i = 0; i < came; i++) {
      const slot = this.#control.completedSlots[i]!;
      const answer =
        this.#control.completedLengths[i]! > 0 ? this.#memory.u8[this.#control.writableAddress(slot)]! : VIRTIO_NET_ERR;
      this.#control.give(slot);
      this.#active = answer === VIRTIO_NET_OK ? this.#links.length : 1;
    }
    return came;
  }

  dispose(): void {
    for (const link of this.#links) link.dispose();
    this.#control?.dispose();
  }

  /**
   * The device gets receive buffers before the command, because it may use the new pairs at once. The command is mapped
   * before them, because they take what room there is.
   */
  #ask(control: BufferSlots): number {
    const slot = control.take();
    const { view } = this.#memory;
    const at = control.readableAddress(slot);
    view.setUint8(at, VIRTIO_NET_CTRL_MQ);
    view.setUint8(at + 1, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET);
    view.setUint16(at + NET_COMMAND_SIZE, this.#links.length, this.#options.byteOrder === 'little');
    const reason = control.submit(slot, NET_COMMAND_SIZE + 2);
    if (reason < 0) {
      control.give(slot);
      this.#failures.failed(reason);
      return 0;
    }
    this.#isAsked = true;
    for (const link of this.#links) link.flush();
    if (control.queue.publish()) this.#options.notify(control.queue);
    return 1;
  }
}
