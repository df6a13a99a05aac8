/** Something that is measured, in its steady state. */
export interface Measured {
  /** Requests of one {@link round}. */
  readonly perRound: number;
  /** Does so many requests. Throws RangeError when one went missing. Hot: no allocation. */
  round(): void;
  /**
   * What in a round is no part of what is measured: the loop that plays the other end. It leaves a ring that the end
   * could not go on with. Left out where all of a round counts.
   */
  readonly peer?: RingPeer;
}

/** Plays the end of a ring that is not measured, in a loop that checks nothing. */
export interface RingPeer {
  /** Does its part of a round. Hot: no allocation. */
  turn(): void;
}
