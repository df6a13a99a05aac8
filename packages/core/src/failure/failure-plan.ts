/** When something fails on purpose: at these times, counted from 1; every so many times; or at random, with a probability up to 1. */
export interface FailureSchedule {
  readonly nth?: readonly number[] | undefined;
  readonly every?: number | undefined;
  readonly rate?: number | undefined;
  /** Of the random numbers: the same seed fails at the same times. */
  readonly seed?: number | undefined;
}

/**
 * Failures on purpose, to see what a driver makes of them. Whoever can fail asks `next` each time; what was asked before decides, so a
 * run can be repeated. Hot: no allocation.
 */
export class FailurePlan {
  readonly #nth: ReadonlySet<number>;
  readonly #every: number;
  /** A random number of 32 bits below this fails. */
  readonly #threshold: number;
  #state: number;
  #count = 0;
  #failed = 0;

  /** Throws `RangeError` for a time below 1 or a rate that is none. Without a schedule nothing ever fails. */
  constructor({ nth = [], every = 0, rate = 0, seed = 1 }: FailureSchedule = {}) {
    const times = every === 0 ? nth : [...nth, every];
    if (!times.every((time) => Number.isInteger(time) && time >= 1))
      throw new RangeError('failures are counted from 1');
    if (!(rate >= 0 && rate <= 1)) throw new RangeError(`a failure rate of ${rate} is not in 0..1`);
    this.#nth = new Set(nth);
    this.#every = every;
    this.#threshold = rate * 2 ** 32;
    this.#state = scramble(seed) || 1;
  }

  /** How often it was asked, and how often the answer was that it fails. */
  get count(): number {
    return this.#count;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Whether it fails this time. */
  next(): boolean {
    this.#count++;
    const isDue = this.#every > 0 && this.#count % this.#every === 0;
    if (!isDue && !this.#isUnlucky() && !this.#nth.has(this.#count)) return false;
    this.#failed++;
    return true;
  }

  /** Xorshift: of all random numbers the ones that are cheapest to repeat. */
  #isUnlucky(): boolean {
    if (this.#threshold === 0) return false;
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    this.#state = state ^= state << 5;
    return state >>> 0 < this.#threshold;
  }
}

/** A small seed would make the first number small, and the first time fail. The finalizer of MurmurHash3. */
function scramble(seed: number): number {
  let state = seed | 0;
  state = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2_ae35);
  return state ^ (state >>> 16);
}
