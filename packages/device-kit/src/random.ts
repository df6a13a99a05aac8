/** The state of 32 bits that follows another, which is not 0 (Marsaglia, "Xorshift RNGs", 2003). Hot. */
export function xorshift32(state: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  return state ^ (state << 5);
}

/**
 * A small deterministic source of numbers (xorshift32), so that whatever was found can be found again from its seed.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed === 0 ? 0x9e37_79b9 : seed | 0;
  }

  /** The next 32 bits. */
  next(): number {
    this.#state = xorshift32(this.#state);
    return this.#state >>> 0;
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return this.next() % limit;
  }

  /** Whether something of this probability, in percent, happens. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** One of `choices`. Throws `RangeError` where there is none. */
  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new RangeError('there is nothing to pick from');
    return choice;
  }
}
