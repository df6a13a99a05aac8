import { fileURLToPath } from 'node:url';
import { runChecked } from './c-reference.ts';
import type { RingLoopMeasurement } from './ring-loop-process.ts';

/** A young generation that holds all a measurement could allocate, so that nothing is collected while it runs. */
const YOUNG_GENERATION_MIB = 64;

/** Measures every loop over one of the {@link MEASURED_PLATFORMS} in a process of its own, so that one mapping class is all its call sites ever see. */
export function measureRingLoop(platform: string, requests: number, samples: number): readonly RingLoopMeasurement[] {
  const program = fileURLToPath(new URL('./ring-loop-process.ts', import.meta.url));
  const printed = runTypeScript(program, [platform, `${requests}`, `${samples}`]);
  const measurements: RingLoopMeasurement[] = JSON.parse(printed);
  return measurements;
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
