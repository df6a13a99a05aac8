/** The round of a block that no request of the run wrote: its content is not known. */
export const UNKNOWN_ROUND = 0xffff_ffff;
/** The round of a block to which zeroes were written. */
export const ZERO_ROUND = 0xffff_fffe;
/** The round of a block that was discarded or erased: reads may return anything, each time something else. */
export const UNDEFINED_ROUND = 0xffff_fffd;
/** Rounds of patterns are less than this. */
export const ROUNDS: number = UNDEFINED_ROUND;

/** Blocks that follow each other. */
export interface BlockRun {
  readonly block: number;
  readonly count: number;
}

/** What a discard, write zeroes or secure erase is of. */
export interface BlockRanges {
  readonly runs: readonly BlockRun[];
  readonly flags: number;
}

/** A request as a workload makes it. */
export interface BlockRequest {
  readonly type: number;
  /** Of a range request the first one. */
  readonly block: number;
  /** Of the pattern, or one of the rounds above. */
  readonly round: number;
  /** The status that has to come. */
  readonly expected: number;
  readonly ranges: BlockRanges | undefined;
}

/**
 * What came of a request: `done`, with the right answer; `refused`, as it has to be; `wrong`, of which a mismatch was
 * noted.
 */
export type BlockOutcome = 'done' | 'refused' | 'wrong';
