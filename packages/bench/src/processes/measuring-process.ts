import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CodedError } from '@virtio-platform/core/errors';
import type { MeasureTask } from '../measured/measure-task.ts';
import type { LatencyMeasurement } from '../measured/request-latency.ts';
import type { RoundsMeasurement } from '../measured/measure-rounds.ts';
import { pinned } from './pinned-core.ts';
import { runProgram } from './run-program.ts';

/** A young generation that holds all a measurement could allocate, so that nothing is collected while it runs. */
export const YOUNG_GENERATION_MIB = 64;

const WORKER = fileURLToPath(new URL('../../dist/measure-worker.js', import.meta.url));

/** How much a process measures. */
export interface MeasuringAmount {
  /** Of a sample. */
  readonly requests: number;
  readonly samples: number;
  /** Of latencies. */
  readonly seconds: number;
  /** Whether the engine may inline as much as in the command, or as much as it does by default. */
  readonly raisesBudget: boolean;
}

/** What a process is told. */
export interface WorkerOrder extends MeasuringAmount {
  readonly tasks: readonly MeasureTask[];
}

/** How a process is run. */
export interface ProcessPlace {
  /** The only core it may run on. */
  readonly core?: number | undefined;
  /** The only core that what serves the process may run on. */
  readonly otherCore?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The program of another build that measures; that of this one unless given. */
  readonly worker?: string | undefined;
}

/** What a process measured of one task. */
export type TaskMeasurement = RoundsMeasurement | LatencyMeasurement;

/**
 * Measures tasks, one after the other, in a process of their own, and returns a measurement of each. The process runs
 * what is built, which is what users get, also where this module itself runs from source. A latency is measured with
 * the heap of every run; the others with a young generation that is never full. Rejects with {@link CodedError}
 * `ERR_BENCH_PROCESS`.
 */
export async function measureTasks(
  tasks: readonly MeasureTask[],
  amount: MeasuringAmount,
  { core, signal, worker = WORKER }: ProcessPlace = {},
): Promise<readonly TaskMeasurement[]> {
  if (!existsSync(worker)) {
    const hint = 'npm run build';
    throw new CodedError('ERR_BENCH_PROCESS', 'what is measured is not built', { hint });
  }
  const order: WorkerOrder = { ...amount, tasks };
  const flags = tasks.some(({ kind }) => kind === 'latency') ? [] : HEAP_FLAGS;
  const command = [process.execPath, ...flags, worker, JSON.stringify(order)];
  const [program = '', ...parameters] = pinned(command, core);
  const measurements: readonly TaskMeasurement[] = JSON.parse(await runProgram(program, parameters, signal));
  return measurements;
}

/** What a process needs to measure its heap: `heap-growth.ts`. */
export const HEAP_FLAGS: readonly string[] = [
  '--expose-gc',
  `--min-semi-space-size=${YOUNG_GENERATION_MIB}`,
  `--max-semi-space-size=${YOUNG_GENERATION_MIB}`,
];
