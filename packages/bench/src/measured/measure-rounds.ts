import { measure } from 'mitata';
import { measureHeapGrowth } from './heap-growth.ts';
import type { Measured } from './measured.ts';

/** The samples of one process. */
export interface RoundsMeasurement {
  /** Nanoseconds per request of each sample, ascending. */
  readonly nanoseconds: readonly number[];
  /** Nanoseconds per request that the loop at the other end takes alone, of each sample; none without such a loop. */
  readonly peerNanoseconds: readonly number[];
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
 * Measures rounds of about `requests` requests: first the heap, then the time `samples` times, last the loop at the
 * other end alone, as often.
 */
export async function measureRounds(measured: Measured, requests: number, samples: number): Promise<RoundsMeasurement> {
  const { perRound, peer } = measured;
  const rounds = Math.ceil(requests / perRound);
  for (let done = 0; done < warmUpRequests(requests); done += perRound) measured.round();
  const growth = await measureHeapSamples(() => {
    for (let i = 0; i < rounds; i++) measured.round();
  });
  const nanoseconds = await timeRounds(() => measured.round(), rounds, samples);
  const alone = peer === undefined ? [] : await timeRounds(() => peer.turn(), rounds, samples);
  return {
    nanoseconds: nanoseconds.map((time) => time / perRound),
    peerNanoseconds: alone.map((time) => time / perRound),
    bytesPerRequest: growth.bytes / (rounds * perRound),
    collections: growth.collections,
  };
}

/** Nanoseconds of a round: as many samples as asked for, each of as many rounds, and none left out. */
async function timeRounds(round: () => void, rounds: number, samples: number): Promise<readonly number[]> {
  const measured = await measure(round, {
    min_samples: samples,
    samples_threshold: Infinity,
    min_cpu_time: 0,
    batch_samples: rounds,
    batch_unroll: 1,
    batch_threshold: Infinity,
    warmup_threshold: Infinity,
  });
  return measured.samples;
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
