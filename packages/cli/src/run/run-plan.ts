import { CodedError } from '@virtio-platform/core';
import type { NamedRun, Profile } from '@virtio-platform/profile';
import { withSeed } from '@virtio-platform/runner';
import type { CheckedRun } from '../checked-runs.ts';
import type { ReportedPlan } from '../reporters/reporter.ts';

/** A run that is to be made. */
export interface PlannedRun {
  /** Name and seed are those of this run. */
  readonly run: NamedRun;
  /** The same run, where the type of its device could be loaded. */
  readonly profile: Profile | undefined;
  /** What is wrong with its plugins: then it is not made, but has a report. */
  readonly error: CodedError | undefined;
}

/** What the command line makes of the runs of the profiles. */
export interface PlanOptions {
  /** The seed of each workload; that of its profile where it is not given. */
  readonly seed?: number | undefined;
  /** How often each run is made. */
  readonly repeat?: number | undefined;
}

/** The most runs of one command: all of their reports are kept until it ends. */
const MOST_RUNS = 10_000;

/**
 * The runs in their order. Each repetition is a run of its own, `NAME #2`, with a seed of its own: that of the first,
 * plus one for each repetition before it. Throws {@link CodedError} `ERR_RUN_REPEAT` for more than {@link MOST_RUNS}.
 */
export function planRuns(checked: readonly CheckedRun[], { seed, repeat = 1 }: PlanOptions): PlannedRun[] {
  const runs = checked.filter(({ run }) => run !== undefined).length;
  if (runs * repeat > MOST_RUNS) throw tooMany(runs, repeat);
  return checked.flatMap(({ run, profile, error }) => {
    if (run === undefined) return [];
    const first = seed ?? run.workload.seed;
    return Array.from({ length: repeat }, (_, at) => {
      const own = <Run extends NamedRun>(of: Run): Run => {
        const name = repeat > 1 ? `${of.name} #${at + 1}` : of.name;
        return withSeed({ ...of, name }, first + at);
      };
      return { run: own(run), profile: profile && own(profile), error };
    });
  });
}

/** What is wrong with the plugins of planned runs, of each profile each error once. */
export function errorsOfPlan(plan: readonly ReportedPlan[]): readonly CodedError[] {
  const errors = new Map<string, CodedError>();
  for (const { run, error } of plan) if (error !== undefined) errors.set(`${run.file}\n${error.message}`, error);
  return [...errors.values()];
}

function tooMany(runs: number, repeat: number): CodedError {
  const all = (runs * repeat).toLocaleString('en');
  const most = Math.floor(MOST_RUNS / runs);
  const problem = `--repeat ${repeat} of ${runs} runs makes ${all}, and a command makes at most ${MOST_RUNS.toLocaleString('en')}`;
  return new CodedError('ERR_RUN_REPEAT', problem, {
    hint: most >= 1 ? `repeat them ${most} times at most, or choose fewer with --filter` : 'choose fewer with --filter',
  });
}
