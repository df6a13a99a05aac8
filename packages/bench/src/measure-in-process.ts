import { fileURLToPath } from 'node:url';
import { runChecked } from './c-reference.ts';
import type { RingEndMeasurement } from './ring-end-process.ts';
import type { RingEndOptions } from './ring-end.ts';
import type { RingLoopMeasurement } from './ring-loop-process.ts';
import type { TwoThreadsMeasurement, TwoThreadsOptions } from './two-threads.ts';

/** A young generation that holds all a measurement could allocate, so that nothing is collected while it runs. */
export const YOUNG_GENERATION_MIB = 64;

/**
 * Measures every loop over one of the `MEASURED_PLATFORMS` in a process of its own, so that one mapping class is all
 * its call sites ever see.
 */
export function measureRingLoop(platform: string, requests: number, samples: number): readonly RingLoopMeasurement[] {
  const measurements: RingLoopMeasurement[] = JSON.parse(run('ring-loop-process', platform, requests, samples));
  return measurements;
}

/** Measures one end of one ring in a process of its own. */
export function measureRingEnd(options: RingEndOptions, requests: number, samples: number): RingEndMeasurement {
  const measurement: RingEndMeasurement = JSON.parse(
    run('ring-end-process', JSON.stringify(options), requests, samples),
  );
  return measurement;
}

/** Measures a ring between two threads of a process of its own. */
export function measureTwoThreads(
  options: TwoThreadsOptions,
  requests: number,
  samples: number,
): TwoThreadsMeasurement {
  const measurement: TwoThreadsMeasurement = JSON.parse(
    run('two-threads-process', JSON.stringify(options), requests, samples),
  );
  return measurement;
}

/**
 * Runs a JavaScript program in a process that can measure its heap, with `parameters` for Node before it and for the
 * program after it; returns what the program printed. Throws when the program fails.
 */
export function runMeasuring(program: string, parameters: readonly string[], node: readonly string[] = []): string {
  return runChecked(process.execPath, [
    '--expose-gc',
    `--min-semi-space-size=${YOUNG_GENERATION_MIB}`,
    `--max-semi-space-size=${YOUNG_GENERATION_MIB}`,
    ...node,
    program,
    ...parameters,
  ]);
}

/** Measures the built output, which is what users get, also where this module itself runs from source. */
function run(program: string, what: string, requests: number, samples: number): string {
  const path = fileURLToPath(new URL(`../dist/${program}.js`, import.meta.url));
  return runMeasuring(path, [what, `${requests}`, `${samples}`]);
}
