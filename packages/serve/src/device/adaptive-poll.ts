/** The shortest time for which it is worth to poll: about two turns of the event loop. */
const LEAST_US = 16;

/**
 * For how long a device looks at its rings before it waits for a notification, in microseconds: twice as long as before
 * where a notification came soon after it gave up, half as long where none came for long, as QEMU's `poll-max-ns` has
 * it. A driver that pauses costs no processor, and one that always has more sends no notifications.
 */
export class AdaptivePoll {
  readonly #most: number;
  #now = 0;
  /** When it gave up, by `performance.now()`. */
  #gaveUpAt = 0;
  #until = 0;

  /** `most` is in microseconds; 0 never polls. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Microseconds for which it polls now. */
  get microseconds(): number {
    return this.#now;
  }

  /** A notification came. Not called while it polls. */
  notified(): void {
    if (this.#most === 0) return;
    const waited = (performance.now() - this.#gaveUpAt) * 1000;
    if (waited > this.#most) this.#now = this.#now >= 2 * LEAST_US ? this.#now / 2 : 0;
    else if (waited > this.#now) this.#now = Math.min(this.#most, Math.max(LEAST_US, 2 * this.#now));
  }

  /** Buffers were served: polls from here on. Returns whether it does. */
  begin(): boolean {
    if (this.#now === 0) {
      this.#gaveUpAt = performance.now();
      return false;
    }
    this.#until = performance.now() + this.#now / 1000;
    return true;
  }

  /** Whether it is time to give up. */
  isOver(): boolean {
    const now = performance.now();
    if (now < this.#until) return false;
    this.#gaveUpAt = now;
    return true;
  }
}
