/** Milliseconds of the first window, and of the longest: as long as a wake-up of the event loop takes. */
const FIRST_MS = 0.01;
const LONGEST_MS = 0.05;
/** A wait that ended within so many milliseconds, wake-up included, may have been short enough to look on instead. */
const NEAR_MS = 0.2;
/** Windows in a row in which nothing came. */
const MOST_VAIN = 8;
/** Waits without a window that follow them: the first time, and at most. They double from one time to the next. */
const RESTED_WAITS = 256;
const MOST_RESTED_WAITS = 2 ** 20;

/**
 * How long a driver looks on before it waits for a notification, as KVM does before it halts a processor: the window
 * doubles while waits are short, and is 0 after a long one. Where nothing came in several windows in a row the driver
 * stops to look, ever longer, so that a device that never answers in time costs no processor. Hot: no allocation.
 */
export class AdaptivePolling {
  #windowMs = 0;
  #waitsSince = -1;
  #vain = 0;
  #restWaits = RESTED_WAITS;
  #restLeft = 0;

  /** Milliseconds to look before a wait that begins at `now`, in milliseconds; 0 where the driver waits for long. */
  windowAt(now: number): number {
    return this.#waitsSince >= 0 && now - this.#waitsSince > NEAR_MS ? 0 : this.#windowMs;
  }

  /** Something came while the driver looked. */
  came(): void {
    this.#vain = 0;
    this.#restWaits = RESTED_WAITS;
  }

  /** Nothing came while the driver looked for all of the window. */
  missed(): void {
    if (++this.#vain < MOST_VAIN) return;
    this.#vain = 0;
    this.#windowMs = 0;
    this.#restLeft = this.#restWaits;
    this.#restWaits = Math.min(2 * this.#restWaits, MOST_RESTED_WAITS);
  }

  /** The driver waits from `now` on, in milliseconds. A wait that goes on has begun already. */
  waits(now: number): void {
    if (this.#waitsSince < 0) this.#waitsSince = now;
  }

  /** What the driver waited for came, at `now` in milliseconds. Nothing changes where it did not wait. */
  ended(now: number): void {
    if (this.#waitsSince < 0) return;
    const isNear = now - this.#waitsSince <= NEAR_MS;
    this.#waitsSince = -1;
    if (this.#restLeft > 0) this.#restLeft--;
    else if (isNear) this.#windowMs = Math.min(LONGEST_MS, Math.max(FIRST_MS, 2 * this.#windowMs));
    else this.#windowMs = 0;
  }
}
