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

/** Runs a TypeScript program of this repository in a process that can measure its heap; returns what it printed. */
export function runTypeScript(program: string, parameters: readonly string[]): string {
  return runChecked(process.execPath, [
    '--expose-gc',
    `--min-semi-space-size=${YOUNG_GENERATION_MIB}`,
    `--max-semi-space-size=${YOUNG_GENERATION_MIB}`,
    '--import=tsx',
    '--conditions=@virtio-platform/source',
    program,
    ...parameters,
  ]);
}

function run(program: string, what: string, requests: number, samples: number): string {
  const path = fileURLToPath(new URL(`./${program}.ts`, import.meta.url));
  return runTypeScript(path, [what, `${requests}`, `${samples}`]);
}
