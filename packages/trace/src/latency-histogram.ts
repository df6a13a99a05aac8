/** Counters for each doubling of the time: neighbours differ by less than half a percent. */
const PER_OCTAVE = 256;
/** The shortest time that is told apart, in microseconds, as a power of two: 1/16. */
const FIRST_OCTAVE = -4;
/** Doublings: up to an hour. */
const OCTAVES = 36;
/** Of a time in the middle between two neighbours. */
const RESOLUTION = 2 ** (1 / PER_OCTAVE) - 1;

/** One bar of a histogram. Times in microseconds; `to` is the first time of the next bar. */
export interface LatencyBar {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** How long buffers were away, in microseconds. */
export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  /** As measured; the percentiles are within {@link precision} of it. */
  readonly max: number;
  /** The most by which a percentile may be wrong, as a fraction. */
  readonly precision: number;
  /** From the shortest to the longest, without a gap. */
  readonly bars: readonly LatencyBar[];
}

/**
 * Counts times by their logarithm, in constant memory, so that the percentiles of a million requests are as precise as
 * those of a hundred. Hot in `add`: no allocation.
 */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(PER_OCTAVE * OCTAVES);
  #count = 0;
  #max = 0;

  /** `micros` is at least 0. */
  add(micros: number): void {
    const exponent = Math.floor((Math.log2(Math.max(micros, 2 ** FIRST_OCTAVE)) - FIRST_OCTAVE) * PER_OCTAVE);
    this.#counts[Math.min(exponent, this.#counts.length - 1)]!++;
    this.#count++;
    if (micros > this.#max) this.#max = micros;
  }

  /** `undefined` where nothing was added. The histogram has at most `mostBars` bars, each of the same ratio. */
  summary(mostBars = 40): LatencySummary | undefined {
    if (this.#count === 0) return undefined;
    return {
      count: this.#count,
      p50: this.#percentile(0.5),
      p90: this.#percentile(0.9),
      p99: this.#percentile(0.99),
      p999: this.#percentile(0.999),
      max: this.#max,
      precision: RESOLUTION,
      bars: this.#bars(mostBars),
    };
  }

  /** The least time that is not shorter than this part of all: the nearest rank. */
  #percentile(part: number): number {
    const rank = Math.ceil(part * this.#count);
    let seen = 0;
    for (let i = 0; i < this.#counts.length; i++) {
      seen += this.#counts[i]!;
      if (seen >= rank) return Math.min(timeOf(i + 0.5), this.#max);
    }
    return this.#max;
  }

  #bars(most: number): LatencyBar[] {
    const first = this.#counts.findIndex((count) => count > 0);
    const last = this.#counts.findLastIndex((count) => count > 0);
    const width = [4, 8, 16, 32, 64, 128, 256, 512, 1024].find((each) => (last - first) / each < most - 1) ?? 2048;
    const bars: LatencyBar[] = [];
    for (let from = first - (first % width); from <= last; from += width) {
      const count = this.#counts.subarray(from, from + width).reduce((sum, each) => sum + each, 0);
      bars.push({ from: timeOf(from), to: timeOf(from + width), count });
    }
    return bars;
  }
}

/** The least time that counter `index` counts. */
function timeOf(index: number): number {
  return 2 ** (index / PER_OCTAVE + FIRST_OCTAVE);
}
