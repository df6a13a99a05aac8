/**
 * Which calls fail: the `nth` ones, counted from 1; `every` so many; and at random with the probability `rate` of 0 to
 * 1.
 */
export interface FailureSchedule {
  readonly nth?: readonly number[] | undefined;
  readonly every?: number | undefined;
  readonly rate?: number | undefined;
  /** Seed of the random numbers: the same seed fails the same calls. */
  readonly seed?: number | undefined;
}

/**
 * Decides which calls of one kind fail. The caller asks `next` once per call. The answer depends on the schedule and on
 * the number of calls so far only, so a run can be repeated. Hot: no allocation.
 */
export class FailurePlan {
  /** Whether there is a schedule: without one no call fails. */
  readonly isScheduled: boolean;
  readonly #nth: ReadonlySet<number>;
  readonly #every: number;
  /** A random number of 32 bits below this fails. */
  readonly #threshold: number;
  #state: number;
  #count = 0;
  #failed = 0;

  /** Throws `RangeError` for a number below 1 or a rate outside of 0 to 1. Without a schedule no call fails. */
  constructor({ nth = [], every = 0, rate = 0, seed = 1 }: FailureSchedule = {}) {
    const times = every === 0 ? nth : [...nth, every];
    if (!times.every((time) => Number.isInteger(time) && time >= 1))
      throw new RangeError('failures are counted from 1');
    if (!(rate >= 0 && rate <= 1)) throw new RangeError(`a failure rate of ${rate} is not in 0..1`);
    this.isScheduled = times.length > 0 || rate > 0;
    this.#nth = new Set(nth);
    this.#every = every;
    this.#threshold = rate * 2 ** 32;
    this.#state = scramble(seed) || 1;
  }

  /** How many calls there were. */
  get count(): number {
    return this.#count;
  }

  /** How many of them failed. */
  get failed(): number {
    return this.#failed;
  }

  /** Counts a call and returns whether it fails. */
  next(): boolean {
    this.#count++;
    const isDue = this.#every > 0 && this.#count % this.#every === 0;
    if (!isDue && !this.#failsAtRandom() && !this.#nth.has(this.#count)) return false;
    this.#failed++;
    return true;
  }

  /** How many calls each of these failed, of those that have a schedule. */
  static failed(plans: Readonly<Record<string, FailurePlan>>): Readonly<Record<string, number>> {
    const scheduled = Object.entries(plans).filter(([, plan]) => plan.isScheduled);
    return Object.fromEntries(scheduled.map(([what, plan]) => [what, plan.failed]));
  }

  /** Draws a xorshift random number, which is cheap and repeatable. */
  #failsAtRandom(): boolean {
    if (this.#threshold === 0) return false;
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    this.#state = state ^= state << 5;
    return state >>> 0 < this.#threshold;
  }
}

/**
 * The finalizer of MurmurHash3: without it a small seed makes the first random number small, and the first call fail.
 */
function scramble(seed: number): number {
  let state = seed | 0;
  state = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2_ae35);
  return state ^ (state >>> 16);
}
