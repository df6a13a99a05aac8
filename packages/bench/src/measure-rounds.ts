import { measure } from 'mitata';
import { measureHeapGrowth } from './heap-growth.ts';
import { DEPTH } from './ring-shape.ts';

/** The samples of one measured process. */
export interface RoundsMeasurement {
  /** Nanoseconds of each sample, ascending. */
  readonly nanosecondsPerRequest: readonly number[];
  /**
   * Heap growth of the sample that grew least: what every request costs, and not what the compiler needed once in a
   * while.
   */
  readonly bytesPerRequest: number;
  /** Garbage collections while the heap was measured. More than 0 make `bytesPerRequest` worthless. */
  readonly collections: number;
}

/** Enough for the compiler to have done its work before anything counts; a trial with few requests needs none. */
const WARM_UP_REQUESTS = 100_000;

/** Times the heap is measured at most: each needs a collection before it. */
const HEAP_SAMPLES = 5;

/** Bytes that a measurement of the heap leaves there itself, about: no sample grows by much less. */
const OWN_GROWTH = 512;

/** Requests that {@link measureRounds} does before it measures, at least. */
export function warmUpRequests(requests: number): number {
  return Math.min(WARM_UP_REQUESTS, 10 * requests);
}

/**
 * Measures `round`, which does {@link DEPTH} requests, over `requests`: first the heap, then the time `samples` times.
 */
export async function measureRounds(round: () => void, requests: number, samples: number): Promise<RoundsMeasurement> {
  const rounds = Math.ceil(requests / DEPTH);
  for (let done = 0; done < warmUpRequests(requests); done += DEPTH) round();
  const growth = await measureHeapSamples(() => {
    for (let i = 0; i < rounds; i++) round();
  });
  // As many samples as asked for, of as many rounds each, and none left out.
  const { samples: nanoseconds } = await measure(round, {
    min_samples: samples,
    samples_threshold: Infinity,
    min_cpu_time: 0,
    batch_samples: rounds,
    batch_unroll: 1,
    batch_threshold: Infinity,
    warmup_threshold: Infinity,
  });
  return {
    nanosecondsPerRequest: nanoseconds.map((time) => time / DEPTH),
    bytesPerRequest: growth.bytes / (rounds * DEPTH),
    collections: growth.collections,
  };
}

/**
 * The growth of the heap while `run` ran, of the time it grew least; and the collections of all times. Runs it again
 * only while another time could show less.
 */
export async function measureHeapSamples(
  run: () => void,
): Promise<{ readonly bytes: number; readonly collections: number }> {
  let bytes = Infinity;
  let collections = 0;
  for (let i = 0; i < HEAP_SAMPLES && bytes > OWN_GROWTH; i++) {
    const growth = await measureHeapGrowth(run);
    bytes = Math.min(bytes, growth.bytes);
    collections += growth.collections;
  }
  return { bytes, collections };
}
