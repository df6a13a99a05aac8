import type { NamedRun } from '@virtio-platform/profile';

/** Seeds are whole numbers below this. */
const SEEDS = 2 ** 32;

/** A run with another seed of its workload: from 0 to 2^32 - 1; `seed` beyond that starts again at 0. */
export function withSeed<Run extends NamedRun>(run: Run, seed: number): Run {
  return { ...run, workload: { ...run.workload, seed: seed % SEEDS } };
}
