/** Milliseconds of the first window, and of the longest: as long as a wake-up of the event loop takes. */
const FIRST_MS = 0.01;
const LONGEST_MS = 0.05;
/** A wait that ended within so many milliseconds, wake-up included, may have been short enough to look on instead. */
const NEAR_MS = 0.2;
/** Windows of {@link LONGEST_MS} in a row in which nothing came, and waits without a window that follow. */
const MOST_VAIN = 8;
const RESTED_WAITS = 256;

/**
 * How long a driver looks on before it waits for a notification, as KVM does before it halts a processor: the window
 * doubles while waits are short, and is 0 after a long one. A device that always takes a little longer than the longest
 * window costs no processor: the driver stops to look, and tries again later. Hot: no allocation.
 */
export class AdaptivePolling {
  #windowMs = 0;
  #waitsSince = -1;
  #vain = 0;
  #rested = RESTED_WAITS;

  /** Milliseconds to look before the next wait. */
  get windowMs(): number {
    return this.#windowMs;
  }

  /** Something came while the driver looked. */
  came(): void {
    this.#vain = 0;
  }

  /** The driver waits from `now` on, in milliseconds: nothing came while it looked. */
  waits(now: number): void {
    if (this.#waitsSince < 0) this.#waitsSince = now;
  }

  /** What the driver waited for came, at `now` in milliseconds. Nothing changes where it did not wait. */
  ended(now: number): void {
    if (this.#waitsSince < 0) return;
    const isNear = now - this.#waitsSince <= NEAR_MS;
    this.#waitsSince = -1;
    if (this.#rested < RESTED_WAITS) this.#rested++;
    else if (!isNear) this.#windowMs = 0;
    else if (this.#windowMs < LONGEST_MS) this.#windowMs = Math.min(LONGEST_MS, Math.max(FIRST_MS, 2 * this.#windowMs));
    else if (++this.#vain >= MOST_VAIN) this.#rest();
  }

  #rest(): void {
    this.#windowMs = 0;
    this.#vain = 0;
    this.#rested = 0;
  }
}
