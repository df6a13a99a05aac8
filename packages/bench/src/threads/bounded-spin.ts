/**
 * Looks until the core is given away for a moment: far more than the other side needs while it has a core of its own.
 */
const LOOKS = 1 << 12;
const PAUSE_MS = 0.05;
/** Ten seconds at least. The other thread may wait for a core, or compile; one that is gone does not come back. */
const MOST_PAUSES = 10_000 / PAUSE_MS;

/**
 * Polls, but not for ever: throws where the other side did nothing for so long. It sleeps only where the other side
 * seems to have no core; on a machine with one for each that does not happen. Hot: no allocation.
 */
export class BoundedSpin {
  readonly #awaited: string;
  readonly #pause = new Int32Array(new SharedArrayBuffer(4));
  #looks = 0;

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
    if (this.#looks > LOOKS * MOST_PAUSES) throw new RangeError(`no ${this.#awaited} came for ten seconds`);
    Atomics.wait(this.#pause, 0, 0, PAUSE_MS);
  }
}
