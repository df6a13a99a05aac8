import type { NotificationCounts } from '@virtio-platform/core';
import type { DeviceQueue } from '@virtio-platform/core/queue';

/** What is known of the notifications of one queue. */
interface QueueAccount {
  /** It was notified since the device last served it: what it has to serve, it was told of. */
  isTold: boolean;
  /** The device served a buffer before its notification, which the driver may still be about to send. */
  isOwed: boolean;
}

/**
 * The device's account of a driver's available buffer notifications. A notification was needed where the device had
 * asked for it and finds a buffer; it is missed where it still has not come when the next one is needed, or when the
 * driver waits or resets the device. A driver that made buffers of several queues available may notify of one after the
 * other, so a buffer that is served early is not yet a miss.
 */
export class DriverNotifications implements NotificationCounts {
  needed = 0;
  received = 0;
  missed = 0;
  spurious = 0;
  /** By index. */
  readonly #accounts: (QueueAccount | undefined)[] = [];
  readonly #isRung: (queue: number) => boolean;

  /** `isRung` tells whether a notification of a queue was sent and not yet {@link heard}. */
  constructor(isRung: (queue: number) => boolean = () => false) {
    this.#isRung = isRung;
  }

  /** A notification of an enabled queue came. `isLive` tells whether the device still looks at its rings. */
  heard(index: number, queue: DeviceQueue, isLive: boolean): void {
    const account = this.#of(index);
    const wasOwed = account.isOwed;
    this.received++;
    account.isOwed = false;
    if (!isLive || account.isTold) return;
    if (queue.awaitsNotification()) {
      this.needed++;
      account.isTold = true;
    } else if (!wasOwed && queue.suppressesNotifications()) this.spurious++;
  }

  /** The device is about to serve a queue. Hot. */
  serves(index: number, queue: DeviceQueue): void {
    const account = this.#of(index);
    const isTold = account.isTold;
    account.isTold = false;
    if (isTold || !queue.awaitsNotification()) return;
    this.needed++;
    if (account.isOwed && !this.#isRung(index)) this.missed++;
    account.isOwed = true;
  }

  /** A queue was reset by itself: its driver makes the buffers available again. */
  forgets(index: number): void {
    this.#accounts[index] = undefined;
  }

  /** The device is reset. `queues` are those that are enabled, and empty where it no longer looks at its rings. */
  ends(queues: readonly (DeviceQueue | undefined)[]): void {
    const { needed, missed } = this.with(queues);
    this.needed = needed;
    this.missed = missed;
    this.#accounts.length = 0;
  }

  /** The counts, with what the driver owes at this moment: it waits, and is not about to send anything. */
  with(queues: readonly (DeviceQueue | undefined)[]): NotificationCounts {
    let { needed, missed } = this;
    queues.forEach((queue, index) => {
      const { isTold, isOwed } = this.#of(index);
      if (queue === undefined || this.#isRung(index)) return;
      const isDue = !isTold && queue.awaitsNotification();
      if (isDue) needed++;
      missed += (isDue ? 1 : 0) + (isOwed ? 1 : 0);
    });
    return { needed, received: this.received, missed, spurious: this.spurious };
  }

  #of(index: number): QueueAccount {
    return (this.#accounts[index] ??= { isTold: false, isOwed: false });
  }
}
