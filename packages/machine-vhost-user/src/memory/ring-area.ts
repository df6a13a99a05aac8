import type { MemoryRegion } from './memory-regions.ts';

/** Where one area of a ring is. */
export interface RingArea {
  /** What the back-end is told: what it calls the place in the region, or the device address where it translates. */
  readonly address: bigint;
  /** Offset in guest memory. */
  readonly offset: number;
  /** The region that holds it; `undefined` where the back-end translates. */
  readonly region: MemoryRegion | undefined;
}
