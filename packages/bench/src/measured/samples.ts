/** Times in the order of their lengths; `p999` is that below which 99.9 of 100 are. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** The percentiles of samples in any order, of which there is at least one: the nearest rank. */
export function percentilesOf(samples: readonly number[]): Percentiles {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]!;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: sorted.at(-1)! };
}

/** The best sample: what it costs where nothing else wanted the core. */
export function leastOf(samples: readonly number[]): number {
  return samples.reduce((least, sample) => Math.min(least, sample));
}

/** The median of samples, in any order; of an even number the middle of the two in the middle. */
export function medianOf(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
