import { availableParallelism } from 'node:os';
import { leastOf, medianOf, noiseOf, type BenchSettings, type BenchTable } from '../bench-part.ts';
import type { CReference } from '../c-reference.ts';
import { measureTwoThreads } from '../measure-in-process.ts';
import { TWO_THREADS, type TwoThreadsOptions } from '../two-threads.ts';

interface ThreadsResult extends TwoThreadsOptions {
  /** Median. */
  readonly nanosecondsPerRequest: number;
  readonly bestNanosecondsPerRequest: number;
  readonly noise: number;
  readonly requestsPerSecond: number;
  /** Of both threads. */
  readonly bytesPerRequest: number;
}

/** A ring between two threads that poll. There is no counterpart in C. */
export function measureThreads(_: CReference | undefined, { requests, samples }: BenchSettings): BenchTable {
  const results = TWO_THREADS.map((options): ThreadsResult => {
    const measured = measureTwoThreads(options, requests, samples);
    const median = medianOf(measured.nanosecondsPerRequest);
    return {
      ...options,
      nanosecondsPerRequest: median,
      bestNanosecondsPerRequest: leastOf(measured.nanosecondsPerRequest),
      noise: noiseOf(measured.nanosecondsPerRequest),
      requestsPerSecond: 1e9 / median,
      bytesPerRequest: measured.bytesPerRequest,
    };
  });
  const cores = availableParallelism();
  return {
    heading: `The driver's end and the device's in two threads that poll, ${cores} ${cores === 1 ? 'core' : 'cores'} for both.`,
    columns: ['layout', 'descriptors', 'best ns', 'median', 'noise', 'requests/s', 'bytes/request'],
    named: 2,
    rows: results.map((row) => [
      row.layout,
      `${row.descriptors}`,
      row.bestNanosecondsPerRequest.toFixed(0),
      row.nanosecondsPerRequest.toFixed(0),
      `${(row.noise * 100).toFixed(0)} %`,
      `${(row.requestsPerSecond / 1e6).toFixed(2)} M`,
      row.bytesPerRequest.toFixed(2),
    ]),
    results,
  };
}
