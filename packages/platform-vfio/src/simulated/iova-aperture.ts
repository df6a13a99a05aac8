import type { IovaRange } from '../container/type1-container.ts';

/** Where x86 devices write their interrupts; never translated, so never mapped. */
const INTERRUPT_RANGE: IovaRange = { start: 0xfee0_0000, end: 0xfeef_ffff };

/** The addresses that an IOMMU translates: all of its width but the reserved ranges. */
export class IovaAperture {
  /** What is left, in order. */
  readonly ranges: readonly IovaRange[];

  constructor(addressWidth: number, reserved: readonly IovaRange[]) {
    let ranges: IovaRange[] = [{ start: 0, end: 2 ** addressWidth - 1 }];
    for (const hole of [INTERRUPT_RANGE, ...reserved]) ranges = ranges.flatMap((range) => without(range, hole));
    this.ranges = ranges;
  }

  /** Whether all of a range can be mapped. Hot: no allocation. */
  holds(start: number, size: number): boolean {
    for (let i = 0; i < this.ranges.length; i++) {
      const range = this.ranges[i]!;
      if (start >= range.start && start + size - 1 <= range.end) return true;
    }
    return false;
  }
}

function without(range: IovaRange, hole: IovaRange): IovaRange[] {
  const before = { start: range.start, end: Math.min(range.end, hole.start - 1) };
  const behind = { start: Math.max(range.start, hole.end + 1), end: range.end };
  return [before, behind].filter(({ start, end }) => start <= end);
}
