import { C_CHECKED, OURS, type BenchFigure, type BenchReport, type BenchResult } from '@virtio-platform/bench';

/** A figure of processes whose bests these are. */
export function figure(subject: string, processes: readonly number[], own: number): BenchFigure {
  const best = Math.min(...processes);
  return {
    subject,
    best,
    processes,
    spread: (Math.max(...processes) - best) / best,
    percentiles: { p50: best, p90: best, p99: best * 2, p999: best * 3, max: best * 4 },
    bytesPerRequest: subject === OURS ? 0.25 : null,
    ratio: own / best,
  };
}

/** The result of an end whose processes took `own`, and those of C `inC`, where there is one. */
export function resultOf(id: string, own: readonly number[], inC?: readonly number[]): BenchResult {
  const best = Math.min(...own);
  return {
    id,
    part: id.split('/')[0]!,
    unit: 'ns/request',
    axes: { id },
    figures: [figure(OURS, own, best), ...(inC === undefined ? [] : [figure(C_CHECKED, inC, best)])],
    baseline: null,
    times: null,
    pauses: null,
  };
}

/** A report of these results. */
export function reportOf(results: readonly BenchResult[]): BenchReport {
  return {
    schemaVersion: 1,
    toolVersion: '0.1.0',
    startedAt: '2026-01-02T03:04:05.678Z',
    machine: { processor: 'P', cores: 2, isPinned: true, load: 0, node: 'v20.20.2', compiler: 'cc 1' },
    settings: { processes: 2, requests: 100, samples: 3, seconds: 1, raisesBudget: true },
    results,
  };
}
