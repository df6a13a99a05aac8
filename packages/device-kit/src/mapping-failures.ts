import { mappingRefusal } from '@virtio-platform/core/dma';

/** A failure counts as lasting after so many attempts in a row, over so many milliseconds. */
const MOST_ATTEMPTS = 32;
const LEAST_MS = 500;

/**
 * Attempts in a row to add a buffer without which the driver cannot go on. Failures on purpose, and a pool that another
 * buffer is about to leave, end sooner than these count as lasting.
 */
export class MappingFailures {
  readonly #what: string;
  #inRow = 0;
  #since = 0;

  /** `what` is the buffer in messages: `a receive buffer of 1526 bytes`. */
  constructor(what: string) {
    this.#what = what;
  }

  /** An attempt failed, and `reason` is what `Virtqueue.add` returned. Throws {@link DmaError} once it lasts. */
  failed(reason: number): void {
    const now = performance.now();
    if (this.#inRow++ === 0) this.#since = now;
    if (this.#inRow < MOST_ATTEMPTS || now - this.#since < LEAST_MS) return;
    throw mappingRefusal(`${this.#what} cannot be mapped`, reason);
  }

  /** An attempt succeeded, or something else is in flight. */
  ended(): void {
    this.#inRow = 0;
  }
}
