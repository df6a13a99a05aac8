import type { VhostUserControl } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  type FeatureSet,
} from '@virtio-platform/core/features';
import { DescriptorChain, openDeviceQueue, type DeviceQueue, type QueueAddresses } from '@virtio-platform/core/queue';

/**
 * A queue of the device that the front-end serves itself, as QEMU does with the control queue of a network device: the
 * back-end never hears of it. It is served as soon as the driver notifies.
 */
export class FrontEndQueue {
  readonly index: number;
  readonly #control: VhostUserControl;
  readonly #space: DeviceAddressSpace;
  #queue: DeviceQueue | undefined;
  #chain: DescriptorChain | undefined;
  #accepted: FeatureSet | undefined;
  #notifications = 0;
  #isPending = false;

  constructor(index: number, control: VhostUserControl, space: DeviceAddressSpace) {
    this.index = index;
    this.#control = control;
    this.#space = space;
  }

  get isRunning(): boolean {
    return this.#queue !== undefined;
  }

  /** How many notifications the driver was sent. */
  get notifications(): number {
    return this.#notifications;
  }

  /** Throws `RangeError` for addresses that no ring has. */
  setUp(addresses: QueueAddresses, accepted: FeatureSet): void {
    const queue = openDeviceQueue(accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split', this.#space, {
      addresses,
      eventIdx: accepted.has(VIRTIO_RING_F_EVENT_IDX),
      indirect: accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
      inOrder: accepted.has(VIRTIO_F_IN_ORDER),
    });
    this.#queue = queue;
    this.#accepted = accepted;
    this.#chain = new DescriptorChain(queue.longestChain);
    this.#notifications = 0;
    this.#isPending = false;
  }

  /** Whether the driver broke the rules of its ring: nothing is served any more until a reset. */
  get isBroken(): boolean {
    return this.#queue?.broken !== undefined;
  }

  /** Serves what the driver made available. */
  serve(): void {
    const [queue, chain, accepted] = [this.#queue, this.#chain, this.#accepted];
    if (queue === undefined || chain === undefined || accepted === undefined || this.isBroken) return;
    // The driver adds nothing meanwhile: it is in this thread.
    do {
      for (let left = queue.size; left > 0 && queue.pop(chain); left--)
        queue.push(chain.head, this.#control.process(chain, this.#space, accepted));
      if (queue.flush()) {
        this.#notifications++;
        this.#isPending = true;
      }
    } while (!queue.enableNotifications());
    // The driver is to look at the status of the device.
    if (this.isBroken) this.#isPending = true;
  }

  /** Whether there is a notification of the driver to take. */
  get hasNotification(): boolean {
    return this.#isPending;
  }

  /** Takes the notifications of the driver. Returns whether there was one. */
  takeNotification(): boolean {
    const isPending = this.#isPending;
    this.#isPending = false;
    return isPending;
  }

  /** The device was reset: nothing of the ring is touched any more. */
  reset(): void {
    this.#queue = undefined;
    this.#isPending = false;
  }
}
