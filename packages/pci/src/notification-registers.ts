import { DeviceError } from '@virtio-platform/core';
import {
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  type FeatureSet,
} from '@virtio-platform/core/features';
import { notificationValue } from '@virtio-platform/core/queue';
import type { VirtioRegisters } from './virtio-capabilities.ts';

/** Of the selected queue, in the common configuration. */
const QUEUE_NOTIFY_OFF = 0x1e;
const QUEUE_NOTIF_CONFIG_DATA = 0x38;

/** Where a modern function is notified of each queue, and by what value (specification 1.4 section 4.1.5.2). */
export class NotificationRegisters {
  readonly #name: string;
  readonly #registers: VirtioRegisters;
  /** By queue: the offset of its register, and what it is called there. */
  readonly #offsets: Uint32Array;
  readonly #identities: Uint16Array;
  #withData = false;

  /** `name` is the function's. */
  constructor(name: string, registers: VirtioRegisters, queues: number) {
    this.#name = name;
    this.#registers = registers;
    this.#offsets = new Uint32Array(queues);
    this.#identities = new Uint16Array(queues);
  }

  /** Asks the device about `queue`, which is the selected one. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a place that is none. */
  locateSelected(queue: number, accepted: FeatureSet): void {
    const { common, notify, notifyMultiplier } = this.#registers;
    this.#withData = accepted.has(VIRTIO_F_NOTIFICATION_DATA);
    const width = this.#withData ? 4 : 2;
    const offset = common.read(QUEUE_NOTIFY_OFF, 2) * notifyMultiplier;
    if (offset + width > notify.length || !notify.isAligned(offset, width))
      throw new DeviceError(
        'ERR_DEVICE_CONFIG',
        `${this.#name} has the notification register of queue ${queue}, ${width} bytes, at ${offset} of ${notify.length}`,
      );
    this.#offsets[queue] = offset;
    const isNamed = accepted.has(VIRTIO_F_NOTIF_CONFIG_DATA);
    this.#identities[queue] = isNamed ? common.read(QUEUE_NOTIF_CONFIG_DATA, 2) : queue;
  }

  /** Hot: no allocation. */
  notify(queue: number, next: number): void {
    const value = notificationValue(this.#identities[queue]!, next, this.#withData);
    this.#registers.notify.write(this.#offsets[queue]!, this.#withData ? 4 : 2, value);
  }
}
