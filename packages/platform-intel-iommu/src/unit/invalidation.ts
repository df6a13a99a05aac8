/**
 * How a unit is told to drop what it has cached, of the one domain behind it. Every call waits in bounded time and
 * returns whether the unit confirmed it. A unit may drop more than it is asked to, and never less.
 */
export interface Invalidation {
  /**
   * Makes itself ready while the unit does not translate. Throws {@link DmaError} `ERR_IOMMU_UNRESPONSIVE` where the
   * unit does not follow.
   */
  enable(): void;
  /** Every cached context and translation, of every device. */
  invalidateAll(): boolean;
  /** Every translation of the domain. Hot: no allocation. */
  invalidateDomain(): boolean;
  /** The translations of `2 ** mask` pages from `first` on, a multiple of their number. Hot: no allocation. */
  invalidatePages(first: number, mask: number): boolean;
  /** The counterpart of `enable`, once translation has stopped. */
  disable(): boolean;
  /** Frees its memory. Called after `disable` returned true, or before `enable`. */
  free(): void;
}
