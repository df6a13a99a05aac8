/** A case that a released back-end is known to fail, and why it is the back-end that is wrong. */
export interface KnownDeviation {
  /** The ids of cases, as planned. */
  readonly cases: readonly string[];
  /** The device types of which it is known, by their short names; of all that it applies to unless given. */
  readonly types?: readonly string[];
  /** Whether chance decides, such as what is read in time: such a case passes as well. */
  readonly isByChance?: boolean;
  readonly why: string;
}

/** Back-ends by the name of their program, with the versions that were looked at. */
export interface KnownBackEnd {
  readonly program: RegExp;
  /** A prefix of the version; empty for a program that does not say its version. */
  readonly version: string;
  readonly deviations: readonly KnownDeviation[];
}
