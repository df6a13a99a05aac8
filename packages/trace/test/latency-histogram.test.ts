import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '@virtio-platform/trace';

/** Times between 1 and 100,000 µs, unevenly spread, the same each time. */
function times(count: number): number[] {
  let state = 12_345;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return 10 ** (5 * (state / 2 ** 32) ** 2);
  });
}

describe('a histogram of latencies', () => {
  it('has the percentiles of the times, within its precision, and the exact longest', () => {
    const all = times(10_000);
    const histogram = new LatencyHistogram();
    for (const time of all) histogram.add(time);
    const sorted = all.toSorted((a, b) => a - b);
    const { count, p50, p90, p99, p999, max, precision } = histogram.summary()!;
    expect(count).toBe(10_000);
    expect(max).toBe(sorted.at(-1));
    for (const [part, value] of [
      [0.5, p50],
      [0.9, p90],
      [0.99, p99],
      [0.999, p999],
    ] as const) {
      const exact = sorted[Math.ceil(part * 10_000) - 1]!;
      expect(Math.abs(value - exact) / exact).toBeLessThan(precision);
    }
    expect(precision).toBeLessThan(0.005);
  });

  it('has bars that hold every time once, without a gap', () => {
    const histogram = new LatencyHistogram();
    for (const time of times(1000)) histogram.add(time);
    const { bars } = histogram.summary(40)!;
    expect(bars.length).toBeLessThanOrEqual(40);
    expect(bars.reduce((sum, { count }) => sum + count, 0)).toBe(1000);
    for (const [i, { from }] of bars.entries()) if (i > 0) expect(from).toBe(bars[i - 1]!.to);
  });

  it('takes times below its shortest and above its longest, and none at all', () => {
    const histogram = new LatencyHistogram();
    expect(histogram.summary()).toBeUndefined();
    histogram.add(0);
    histogram.add(1e12);
    expect(histogram.summary()).toMatchObject({ count: 2, max: 1e12 });
  });
});
