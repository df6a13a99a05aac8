import { codedErrorOf, type CodedError } from '@virtio-platform/core';
import {
  blamePlugin,
  checkPlugins,
  loadEachRun,
  type LoadOptions,
  type NamedRun,
  type Profile,
  type ProfileSource,
  type ResolutionOptions,
} from '@virtio-platform/profile';
import { isolate } from './isolate.ts';

/** A run of a profile, and what is wrong with it. */
export interface CheckedRun {
  /** `undefined` where the profile itself is wrong, so that its runs are not known. */
  readonly run: NamedRun | undefined;
  /** The same run, where the type of its device could be loaded too. */
  readonly profile: Profile | undefined;
  /** What is wrong with the profile, its plugins or their options. */
  readonly error: CodedError | undefined;
}

/**
 * Checks every run of a profile with its plugins and their options, and starts nothing: the one check of `run`,
 * `check`, `explain` and `matrix`. A path is absolute.
 */
export async function checkRuns(source: ProfileSource, plugins: LoadOptions): Promise<readonly CheckedRun[]> {
  const runs: CheckedRun[] = [];
  try {
    for (const loaded of await loadEachRun(source, plugins)) {
      const { profile, error } = loaded;
      if (profile === undefined) runs.push({ run: loaded.run, profile, error });
      else runs.push({ run: profile, profile, error: await pluginError(profile, plugins) });
    }
  } catch (error) {
    runs.push({ run: undefined, profile: undefined, error: codedErrorOf(error) });
  }
  return runs;
}

/**
 * Does something with each run of a profile whose text and plugins are right, by itself: `body` is left where a plugin
 * does something wrong, and the other runs go on. Returns the results, and each error once.
 */
export async function eachRun<T>(
  source: ProfileSource,
  plugins: LoadOptions,
  body: (profile: Profile) => Promise<T>,
): Promise<{ readonly results: readonly T[]; readonly errors: readonly CodedError[]; readonly runs: number }> {
  const results: T[] = [];
  const checked = await checkRuns(source, plugins);
  const failed: CheckedRun[] = [];
  for (const run of checked) {
    const { profile } = run;
    if (profile === undefined || run.error !== undefined) {
      failed.push(run);
      continue;
    }
    const { value, error } = await isolate(
      () => body(profile),
      (thrown) => blamePlugin(thrown, profile, plugins),
    );
    if (error !== undefined) failed.push({ ...run, error });
    else if (value !== undefined) results.push(value);
  }
  return { results, errors: distinctErrors(failed), runs: checked.length };
}

/** The errors of several runs, each once. */
export function distinctErrors(runs: readonly CheckedRun[]): readonly CodedError[] {
  return [...new Map(runs.flatMap(({ error }) => (error === undefined ? [] : [[error.message, error]]))).values()];
}

/** Checks the plugins of a run by themselves: what they do in a timer or a promise is an error of that run. */
async function pluginError(profile: Profile, plugins: ResolutionOptions): Promise<CodedError | undefined> {
  const coded = (thrown: unknown): CodedError => blamePlugin(thrown, profile, plugins);
  const { error } = await isolate(() => checkPlugins(profile, plugins), coded);
  return error;
}
