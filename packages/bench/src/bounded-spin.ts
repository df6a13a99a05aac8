/** Looks until the core is given away for a moment: far more than the other side needs while it has a core of its own. */
const LOOKS = 1 << 12;
const PAUSE_MS = 0.05;
/** The other thread may wait for a core, or compile; a thread that is gone does not come back. */
const PATIENCE_MS = 10_000;

/**
 * Polls, but not for ever: throws where the other side did nothing for ten seconds. It sleeps only where the other side seems to
 * have no core; on a machine with one for each that does not happen. Hot: no allocation.
 */
export class BoundedSpin {
  readonly #awaited: string;
  readonly #pause = new Int32Array(new SharedArrayBuffer(4));
  #looks = 0;
  #deadline = 0;

  /** `awaited` names in the error what did not come. */
  constructor(awaited: string) {
    this.#awaited = awaited;
  }

  /** Something came. */
  reset(): void {
    this.#looks = 0;
  }

  /** Nothing came. */
  look(): void {
    if (++this.#looks % LOOKS === 0) this.#giveWay();
  }

  #giveWay(): void {
    const now = performance.now();
    if (this.#looks === LOOKS) this.#deadline = now + PATIENCE_MS;
    else if (now > this.#deadline) throw new RangeError(`${this.#awaited}: none in ${PATIENCE_MS} ms`);
    Atomics.wait(this.#pause, 0, 0, PAUSE_MS);
  }
}
