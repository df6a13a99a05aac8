import type { Transport } from '@virtio-platform/core/device';

/** How long a driver that has to look does so in each round of the event loop, after something happened. */
const EAGER_MS = 0.5;
/** From one look to the next: an eighth of the time since something happened, within these bounds. */
const LEAST_DELAY_MS = 1;
const MOST_DELAY_MS = 50;

/**
 * What wakes a driver that waits in the event loop. A transport that can be watched tells of each notification, and
 * costs nothing in between. The driver of any other looks at its rings: in each round of the loop at first, then ever
 * less often, down to 20 times a second. Neither keeps the process alive.
 */
export class NotificationSource {
  /** Whether the device's notifications wake the driver; otherwise only {@link lookLater} does. */
  readonly isTold: boolean;
  readonly #look: () => void;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #isStopped = false;

  /**
   * Watches `transport`, none of whose queues is enabled yet. `told` is called from the event loop when a notification
   * may have come, `look` when it is time to look.
   */
  constructor(transport: Transport, told: () => void, look: () => void) {
    this.isTold = transport.watch !== undefined;
    this.#look = look;
    transport.watch?.(() => {
      if (!this.#isStopped) told();
    });
  }

  /**
   * Has `look` called later, once: `idleMs` after something happened last. `isAwaited` says whether a request waits.
   */
  lookLater(idleMs: number, isAwaited: boolean): void {
    this.cancel();
    if (this.#isStopped) return;
    if (isAwaited && idleMs < EAGER_MS) {
      this.#immediate = setImmediate(this.#look);
      return;
    }
    const delay = Math.min(Math.max(LEAST_DELAY_MS, idleMs / 8), MOST_DELAY_MS);
    this.#timer = setTimeout(this.#look, delay).unref();
  }

  /** Takes back {@link lookLater}. */
  cancel(): void {
    clearTimeout(this.#timer);
    if (this.#immediate !== undefined) clearImmediate(this.#immediate);
    this.#timer = this.#immediate = undefined;
  }

  /** Wakes nothing any more. The transport stays watched until it is disposed of. */
  stop(): void {
    this.#isStopped = true;
    this.cancel();
  }
}
