import { CodedError, codedErrorOf, printable } from '@virtio-platform/core';
import { blamePlugin, type NamedRun, type ProfileSource, type ResolutionOptions } from '@virtio-platform/profile';
import { checkRuns, distinctErrors, type CheckedRun } from '../checked-runs.ts';
import type { Interruption } from '../interruption.ts';
import { isolate } from '../isolate.ts';
import type { Progress } from './progress.ts';

/** How profiles are checked. */
export interface CheckProfilesOptions {
  readonly plugins: ResolutionOptions;
  /** `path=value`, laid over each profile. */
  readonly set: readonly string[];
  /** Runs whose names it refuses are left out. */
  readonly filter: (name: string) => boolean;
  readonly interruption: Interruption;
  readonly progress: Progress;
  readonly cwd: string;
}

/** By file: the names of all runs of a profile, also those that a filter leaves out. */
export type NamesOfProfiles = ReadonlyMap<string, ReadonlySet<string>>;

/** What is known of the runs of some profiles. */
export interface CheckedProfiles {
  /** In their order. */
  readonly runs: readonly CheckedRun[];
  readonly namesOf: NamesOfProfiles;
  /** What is wrong with the runs, of each profile each error once. */
  readonly errors: readonly CodedError[];
}

/** So many profiles take long to check; a few are checked without a word, so that an error stands alone. */
const MANY_PROFILES = 5;

/**
 * Checks the runs of every profile, with their plugins and options. Throws {@link CodedError} `ERR_RUN_FILTER` where no
 * run is wanted.
 */
export async function checkProfiles(
  sources: readonly ProfileSource[],
  { plugins, set, filter, interruption, progress, cwd }: CheckProfilesOptions,
): Promise<CheckedProfiles> {
  const checked: CheckedRun[] = [];
  const all: CodedError[] = [];
  const namesOf = new Map<string, Set<string>>();
  for (const [at, source] of sources.entries()) {
    if (interruption.name !== undefined) break;
    if (sources.length >= MANY_PROFILES) progress.begin(`checking profile ${at + 1} of ${sources.length}`);
    let first: { readonly thrown: unknown } | undefined;
    const coded = (thrown: unknown): CodedError => {
      first = { thrown };
      return codedErrorOf(thrown);
    };
    const body = (): Promise<readonly CheckedRun[]> => checkRuns(source, { ...plugins, set, baseDirectory: cwd });
    const { value: found = [], error: stray } = await isolate(body, coded);
    for (const { run } of found) {
      if (run !== undefined) namesOf.set(run.file, (namesOf.get(run.file) ?? new Set()).add(run.name));
    }
    const wanted = found.filter(({ run }) => run === undefined || filter(run.name));
    const named = (run: NamedRun | undefined): CodedError | undefined =>
      run === undefined || first === undefined ? stray : blamePlugin(first.thrown, run, plugins);
    const runs = wanted.map((run) => ({ ...run, error: run.error ?? named(run.run) }));
    all.push(...(stray !== undefined && found.length === 0 ? [stray] : distinctErrors(runs)));
    checked.push(...runs);
    if (found.length === 0) checked.push({ run: undefined, profile: undefined, error: stray });
  }
  const names = [...namesOf.values()].flatMap((ofFile) => [...ofFile]);
  if (checked.length === 0 && names.length > 0) throw nothingLeft(names);
  return { runs: checked, namesOf, errors: all };
}

/** The most names that an error lists. */
const MOST_NAMES = 20;

function nothingLeft(names: readonly string[]): CodedError {
  const more = names.length > MOST_NAMES ? `, and ${names.length - MOST_NAMES} more` : '';
  const list = names.slice(0, MOST_NAMES).map(printable).join(', ');
  return new CodedError('ERR_RUN_FILTER', `--filter leaves none of the runs: ${list}${more}`, {
    hint: 'give a part of a name; * stands for any characters, and /.../ is a regular expression',
  });
}
