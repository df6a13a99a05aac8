import type { ConformBench, DeviceCases } from '@virtio-platform/core';
import type { QueueLayout } from '@virtio-platform/core/queue';
import { isFailure, type CaseResult } from '../run/case-result.ts';
import type { PlannedCase } from '../run/planned-case.ts';
import { crashKey } from './crash-key.ts';
import { generateHostile, mutate } from './generate-operations.ts';
import type { Operation } from './operation.ts';
import { plannedOperations } from './operation-cases.ts';
import { SeededRandom } from './seeded-random.ts';
import type { Pace } from './play-operations.ts';
import { shrinkOperations } from './shrink-operations.ts';

/** Operations on rings of one layout. */
export interface Sample {
  readonly layout: QueueLayout;
  readonly operations: readonly Operation[];
}

/** A failure that no other one was like: the fewest operations that were found to make it happen. */
export interface FuzzFailure extends Sample {
  /** What failures of one bug have in common. */
  readonly key: string;
  readonly result: CaseResult;
  /** The number of the run, from 0 on. */
  readonly run: number;
  /** Operations before they were made fewer. */
  readonly before: number;
}

/** What a device is fuzzed with. */
export interface FuzzOptions {
  readonly runs: number;
  readonly seed: number;
  readonly layouts: readonly QueueLayout[];
  readonly openModel: DeviceCases['openModel'];
  /** Samples to begin with. */
  readonly corpus: readonly Sample[];
  readonly runOne: (planned: PlannedCase) => Promise<CaseResult>;
  readonly onFailure?: ((failure: FuzzFailure) => void) | undefined;
  readonly onSample?: ((sample: Sample) => void) | undefined;
  readonly onRun?: ((run: number, samples: number) => void) | undefined;
}

/** What fuzzing found. */
export interface FuzzResult {
  readonly runs: number;
  readonly samples: number;
  readonly failures: readonly FuzzFailure[];
  /** Why it ended early; `undefined` where all runs were made. */
  readonly ended: string | undefined;
}

/** What a run came to: `key` where it failed. */
interface Tried {
  readonly key: string | undefined;
  readonly result: CaseResult;
}

/** Waits after each operation of a failure that is made smaller. */
const PACE_MS = 3;
/** Operations of a sample that is not a mutation, and the most of one that is. */
const OPERATIONS = 24;
const MOST_OPERATIONS = 120;
/** Samples that are kept; old ones make room. */
const MOST_SAMPLES = 500;
/** Buffers that one look at a ring takes. */
const MOST_RETURNED = 512;

/**
 * Fuzzes a device: hostile operations that follow from a seed, and mutations of those after which the device did what
 * it had not done before. A failure is made smaller while it stays the same failure.
 */
export async function fuzzDevice(options: FuzzOptions): Promise<FuzzResult> {
  const { runs, seed, layouts, corpus, runOne, openModel } = options;
  const samples: Sample[] = [...corpus];
  const behaviours = new Set<string>();
  const failures: FuzzFailure[] = [];
  let behaviour = '';
  const plan = ({ layout, operations }: Sample, pace?: Pace): PlannedCase => {
    const planned = plannedOperations(`fuzz/${layout}`, layout, operations, openModel, pace);
    const { conformCase } = planned;
    const run = async (bench: ConformBench): Promise<void> => {
      behaviour = 'closed';
      await conformCase.run(bench);
      await bench.settle();
      behaviour = behaviourOf(bench, operations);
    };
    return { ...planned, conformCase: { ...conformCase, isHostile: true, run } };
  };
  const keyOf = async (sample: Sample, pace?: Pace): Promise<Tried> => {
    const result = await runOne(plan(sample, pace));
    return { key: isFailure(result) ? crashKey(result.verdict, result.seen) : undefined, result };
  };
  let before: Sample | undefined;
  for (let run = 0; run < runs; run++) {
    const sample = run < corpus.length ? corpus[run]! : draw(seed + run, samples, layouts);
    const { key, result } = await keyOf(sample);
    if (result.verdict === 'skip' && result.seen.startsWith('not tried'))
      return { runs: run, samples: samples.length, failures, ended: result.seen };
    options.onRun?.(run + 1, samples.length);
    if (key === undefined) {
      before = sample;
      if (result.verdict === 'skip' || behaviours.has(behaviour)) continue;
      behaviours.add(behaviour);
      if (samples.length >= MOST_SAMPLES) samples.shift();
      samples.push(sample);
      options.onSample?.(sample);
      continue;
    }
    if (failures.some((failure) => failure.key === key)) continue;
    const smallest = await smallestOf([sample, ...(before === undefined ? [] : [before])], key, keyOf);
    const failure = { ...smallest, key, result, run };
    failures.push(failure);
    options.onFailure?.(failure);
  }
  return { runs, samples: samples.length, failures, ended: undefined };
}

/**
 * The fewest operations that a failure was made of. A back-end may end some operations after the one that it does not
 * survive, or in the run after it: operations are tried with a wait after each, in which it shows what became of it.
 */
async function smallestOf(
  [sample, ...others]: readonly [Sample, ...Sample[]],
  key: string,
  keyOf: (sample: Sample, pace?: Pace) => Promise<Tried>,
): Promise<Sample & { readonly before: number }> {
  for (const each of [sample, ...others]) {
    const pace = paced();
    if ((await keyOf(each, pace)).key !== key) continue;
    const fails = async (operations: readonly Operation[]): Promise<boolean> =>
      (await keyOf({ ...each, operations }, paced())).key === key;
    const whole = each.operations;
    const until = whole.slice(0, pace.played);
    const start = until.length < whole.length && (await fails(until)) ? until : whole;
    return { ...each, operations: await shrinkOperations(start, fails), before: whole.length };
  }
  const { operations } = sample;
  const fails = async (some: readonly Operation[]): Promise<boolean> =>
    (await keyOf({ ...sample, operations: some })).key === key;
  return { ...sample, operations: await shrinkOperations(operations, fails), before: operations.length };
}

function paced(): Pace {
  return { waitMs: PACE_MS, played: 0 };
}

/** A new sample, or one that differs a little from others. */
function draw(seed: number, samples: readonly Sample[], layouts: readonly QueueLayout[]): Sample {
  const random = new SeededRandom(seed);
  if (samples.length === 0 || random.once(3))
    return { layout: random.of(layouts), operations: generateHostile(random.below(0xffff_ffff), OPERATIONS) };
  const [parent, other] = [random.of(samples), random.of(samples)];
  const operations = mutate(random.below(0xffff_ffff), parent.operations, other.operations, MOST_OPERATIONS);
  return { layout: parent.layout, operations };
}

/** What the device did, as far as a driver sees it: what differs is worth a closer look. */
function behaviourOf(bench: ConformBench, operations: readonly Operation[]): string {
  let returned = 0;
  let length = 0;
  try {
    const ring = bench.ring();
    for (let entry = ring.take(); entry !== undefined && returned < MOST_RETURNED; entry = ring.take()) {
      returned++;
      length = Math.max(length, entry.length);
    }
    const lengthClass = length === 0 ? 0 : Math.floor(Math.log2(length));
    const kinds = [...new Set(operations.map(({ op }) => op))].toSorted().join();
    return `${ring.layout} ${returned} ${lengthClass} ${bench.asksForReset()} ${bench.accepted.bits} ${kinds}`;
  } catch {
    return 'no ring';
  }
}
