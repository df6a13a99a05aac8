/** How much an entropy device gives. */
export interface EntropyLimits {
  /** Bytes of one buffer at most: 1 to {@link ENTROPY_MOST_BYTES}, which it is unless given. */
  readonly bufferBytes?: number | undefined;
  /** Bytes in one period at most, at least 1; no limit unless given. */
  readonly maxBytes?: number | undefined;
  /**
   * Milliseconds of a period, at least 1; {@link ENTROPY_PERIOD} unless given. It starts with the first buffer that is
   * filled in it.
   */
  readonly period?: number | undefined;
}

/**
 * Bytes that one buffer gets at most: a driver may offer 4 GiB, and the device does nothing else while it fills them.
 * Section 5.4.6.2 lets a device fill less than the whole buffer.
 */
export const ENTROPY_MOST_BYTES = 0x2_0000;
/** Milliseconds of a period where nothing is said, as QEMU's. */
export const ENTROPY_PERIOD = 0x1_0000;

/** What is left to give in a period, as QEMU counts it. */
export class EntropyQuota {
  readonly #most: number;
  readonly #period: number;
  readonly #onRefilled: () => void;
  #left: number;
  #timer: NodeJS.Timeout | undefined;

  /** `onRefilled` is called with each new period. */
  constructor(most: number, period: number, onRefilled: () => void) {
    this.#most = most;
    this.#period = period;
    this.#onRefilled = onRefilled;
    this.#left = most;
  }

  /** Bytes. Hot. */
  get left(): number {
    return this.#left;
  }

  /** Gives so many of what is left. Hot, but for the first call of a period. */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#most !== Infinity) this.#timer ??= setTimeout(() => this.#refill(), this.#period);
  }

  /** All is left again, and no period runs. */
  reset(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#left = this.#most;
  }

  #refill(): void {
    this.reset();
    this.#onRefilled();
  }
}
