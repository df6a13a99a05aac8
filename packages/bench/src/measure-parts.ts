import { availableParallelism, cpus, loadavg } from 'node:os';
import type { BenchPart } from './bench-case.ts';
import { BENCH_SCHEMA_VERSION, type BenchReport, type BenchResult, type BenchSettings } from './bench-report.ts';
import { measureCase } from './measure-case.ts';
import { CReference } from './processes/c-reference.ts';
import { pinnableCores } from './processes/pinned-core.ts';

/** What is told while a benchmark runs. */
export interface BenchListener {
  /** Once, before anything is measured. */
  begin?(machine: BenchReport['machine']): void;
  /** A case begins: the `number`th of `total`, from 1. */
  beginCase?(id: string, number: number, total: number): void;
  /** All cases of a part were measured. */
  endPart?(part: BenchPart, results: readonly BenchResult[]): void;
}

/** How a benchmark is run. */
export interface BenchOptions {
  readonly settings: BenchSettings;
  readonly toolVersion: string;
  readonly listener?: BenchListener;
  /** Ends what runs. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Measures all cases of parts, one process after the other. Rejects with `ERR_BENCH_PROCESS` where one fails, and with
 * the reason of the signal.
 */
export async function measureParts(parts: readonly BenchPart[], options: BenchOptions): Promise<BenchReport> {
  const { settings, toolVersion, listener = {}, signal } = options;
  const startedAt = new Date().toISOString();
  const reference = await CReference.open();
  const cores = pinnableCores();
  const machine = {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    isPinned: cores.length > 0,
    load: loadavg()[0] ?? 0,
    node: process.version,
    compiler: reference?.compiler ?? null,
  };
  listener.begin?.(machine);
  const results: BenchResult[] = [];
  const total = parts.reduce((sum, { cases }) => sum + cases.length, 0);
  try {
    for (const part of parts) {
      const from = results.length;
      for (const one of part.cases) {
        listener.beginCase?.(one.id, results.length + 1, total);
        const result = await measureCase(part, one, { settings, reference, cores, signal });
        results.push(withBaseline(result, one.baseline, results));
      }
      listener.endPart?.(part, results.slice(from));
    }
  } finally {
    reference?.dispose();
  }
  return { schemaVersion: BENCH_SCHEMA_VERSION, toolVersion, startedAt, machine, settings, results };
}

function withBaseline(result: BenchResult, baseline: string | undefined, results: readonly BenchResult[]): BenchResult {
  const other = results.find(({ id }) => id === baseline);
  if (other === undefined) return result;
  return { ...result, baseline: other.id, times: result.figures[0]!.best / other.figures[0]!.best };
}
