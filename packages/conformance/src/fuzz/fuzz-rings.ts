import { DeviceQueueFuzzer, type FuzzOutcome } from './fuzz-device-queue.ts';
import { VirtqueueFuzzer } from './fuzz-virtqueue.ts';

/** Which end is under test. */
export const FUZZ_TARGETS = ['device', 'driver'] as const;
/** An end of a ring that is fuzzed. */
export type FuzzTarget = (typeof FUZZ_TARGETS)[number];

/** What a fuzzer found: how often each outcome came, and the first seed of each. */
export interface FuzzSummary {
  readonly executions: number;
  readonly outcomes: ReadonlyMap<FuzzOutcome, { readonly count: number; readonly seed: number }>;
}

/** A seed under which an end did what it must not. Run just this seed to see it again. */
export class FuzzFailure extends Error {
  readonly target: FuzzTarget;
  readonly seed: number;

  constructor(target: FuzzTarget, seed: number, cause: unknown) {
    super(`the ${target}'s end failed under seed ${seed}: ${String(cause)}`, { cause });
    this.target = target;
    this.seed = seed;
  }
}

/** Runs one seed. Throws {@link FuzzFailure}. */
export function fuzzOnce(target: FuzzTarget, seed: number): FuzzOutcome {
  return execute(target, target === 'device' ? new DeviceQueueFuzzer() : new VirtqueueFuzzer(), seed);
}

/** Runs `executions` seeds from `firstSeed` on. Throws {@link FuzzFailure} at the first that fails. */
export function fuzzRings(target: FuzzTarget, firstSeed: number, executions: number): FuzzSummary {
  const fuzzer = target === 'device' ? new DeviceQueueFuzzer() : new VirtqueueFuzzer();
  const outcomes = new Map<FuzzOutcome, { count: number; seed: number }>();
  for (let seed = firstSeed; seed < firstSeed + executions; seed++) {
    const outcome = execute(target, fuzzer, seed);
    const known = outcomes.get(outcome);
    if (known === undefined) outcomes.set(outcome, { count: 1, seed });
    else known.count++;
  }
  return { executions, outcomes };
}

function execute(target: FuzzTarget, fuzzer: DeviceQueueFuzzer | VirtqueueFuzzer, seed: number): FuzzOutcome {
  try {
    return fuzzer.run(seed);
  } catch (error) {
    throw new FuzzFailure(target, seed, error);
  }
}
