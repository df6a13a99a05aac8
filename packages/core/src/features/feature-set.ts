import type { FeatureTable } from './feature-rows.ts';
import { EXPERIMENTAL_BITS, featureName, type ExperimentalBits } from './feature-name.ts';

/**
 * An immutable set of feature bits (0 to 127), held as one bigint. For the cold path: queues read theirs once, as
 * booleans.
 */
export class FeatureSet {
  static readonly EMPTY: FeatureSet = new FeatureSet(0n);
  readonly bits: bigint;

  constructor(bits: bigint) {
    this.bits = BigInt.asUintN(128, bits);
  }

  /** Makes a set. Throws `RangeError` for a bit outside of 0 to 127, as every method that takes a bit does. */
  static of(...bits: readonly number[]): FeatureSet {
    let value = 0n;
    for (const bit of bits) value |= maskOf(bit);
    return new FeatureSet(value);
  }

  has(bit: number): boolean {
    return (this.bits & maskOf(bit)) !== 0n;
  }

  with(bit: number): FeatureSet {
    return new FeatureSet(this.bits | maskOf(bit));
  }

  without(bit: number): FeatureSet {
    return new FeatureSet(this.bits & ~maskOf(bit));
  }

  and(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.bits & other.bits);
  }

  minus(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.bits & ~other.bits);
  }

  equals(other: FeatureSet): boolean {
    return this.bits === other.bits;
  }

  /** The bit numbers, ascending. */
  *[Symbol.iterator](): Generator<number> {
    for (let rest = this.bits, bit = 0; rest !== 0n; rest >>= 1n, bit++) if ((rest & 1n) !== 0n) yield bit;
  }

  /** The names of its bits, in bit order. `ofType` has the rows of the device type. */
  names(ofType: FeatureTable, experimental: ExperimentalBits = EXPERIMENTAL_BITS): string[] {
    return [...this].map((bit) => featureName(bit, ofType, experimental));
  }
}

function maskOf(bit: number): bigint {
  if (!Number.isInteger(bit) || bit < 0 || bit > 127) throw new RangeError(`feature bit ${bit} is not in 0..127`);
  return 1n << BigInt(bit);
}
