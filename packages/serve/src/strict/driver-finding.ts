import type { DriverRule, DriverRuleCode } from './driver-rules.ts';

/** Where a driver broke a rule. */
export interface FindingPlace {
  /** `undefined` for what concerns the whole device. */
  readonly queue?: number | undefined;
  /** The id of the buffer: its first descriptor in a split ring, its buffer id in a packed one. */
  readonly buffer?: number | undefined;
  /** The entry of the descriptor table, the slot of a packed ring, or the entry of the indirect table. */
  readonly descriptor?: number | undefined;
  /** Whether {@link descriptor} counts the entries of the indirect table of the buffer. */
  readonly isInTable?: boolean;
  /** Where it is other than that of the rule: the section of the device type. */
  readonly clause?: string;
}

/** A mistake of a driver, as data. */
export interface DriverFinding extends Omit<FindingPlace, 'clause'>, DriverRule {
  readonly code: DriverRuleCode;
  /** One sentence: what is wrong. */
  readonly what: string;
  /** Milliseconds since the device was first served. */
  readonly at: number;
}

/** Findings of one rule in one queue: the first of them, and how many there were. */
export interface CountedFinding extends DriverFinding {
  readonly count: number;
}
