import { createHistogram, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LatencyTask } from './measure-task.ts';
import { RingLoop } from './ring-loop.ts';
import type { Percentiles } from './samples.ts';

/** Requests between two looks at the clock that ends the measurement. */
const SLICE = 1000;
const WARM_UP_REQUESTS = 100_000;

/** What was seen of requests that are timed one by one. */
export interface LatencyMeasurement {
  readonly requests: number;
  /** Nanoseconds, the time of one look at the clock included; to 0.1 %. */
  readonly percentiles: Percentiles;
  /** Requests that took more than a millisecond. */
  readonly aboveMillisecond: number;
  /** Garbage collections meanwhile. */
  readonly collections: number;
}

/** Times one request after the other for so many seconds, the first of them not counted. */
export async function measureLatency(task: LatencyTask, seconds: number): Promise<LatencyMeasurement> {
  const loop = new RingLoop({ ...task, batch: 1 });
  const histogram = createHistogram({ figures: 3 });
  for (let i = 0; i < WARM_UP_REQUESTS; i++) timeOne(loop);
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  observer.observe({ entryTypes: ['gc'] });
  await nextTurn();
  let aboveMillisecond = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    for (let i = 0; i < SLICE; i++) {
      const nanoseconds = timeOne(loop);
      histogram.record(nanoseconds);
      if (nanoseconds > 1e6) aboveMillisecond++;
    }
  }
  await nextTurn();
  observer.disconnect();
  const at = (percent: number): number => histogram.percentile(percent);
  const percentiles = { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.max };
  return { requests: histogram.count, percentiles, aboveMillisecond, collections };
}

/** Nanoseconds of one request: a whole number, at least 1. */
function timeOne(loop: RingLoop): number {
  const start = performance.now();
  loop.round();
  return Math.max(1, Math.round((performance.now() - start) * 1e6));
}
