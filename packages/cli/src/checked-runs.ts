import { codedErrorOf, type CodedError } from '@virtio-platform/core';
import {
  blamePlugin,
  checkPlugins,
  loadProfiles,
  type Profile,
  type ResolutionOptions,
} from '@virtio-platform/profile';
import { isolate } from './isolate.ts';

/** A run of a profile, and what is wrong with it. */
export interface CheckedRun {
  /** `undefined` where the profile itself is wrong, so that its runs are not known. */
  readonly profile: Profile | undefined;
  /** What is wrong with the profile, its plugins or their options. */
  readonly error: CodedError | undefined;
}

/**
 * Checks every run of a profile with its plugins and their options, and starts nothing: the one check of `run`,
 * `check`, `explain` and `matrix`. `path` is absolute.
 */
export async function checkRuns(path: string, plugins: ResolutionOptions): Promise<readonly CheckedRun[]> {
  const runs: CheckedRun[] = [];
  try {
    for (const profile of await loadProfiles(path, plugins))
      runs.push({ profile, error: await pluginError(profile, plugins) });
  } catch (error) {
    runs.push({ profile: undefined, error: codedErrorOf(error) });
  }
  return runs;
}

/** The runs of a profile. Throws the first error that {@link checkRuns} finds. */
export async function loadRuns(path: string, plugins: ResolutionOptions): Promise<Profile[]> {
  const runs = await checkRuns(path, plugins);
  for (const { error } of runs) if (error !== undefined) throw error;
  return runs.flatMap(({ profile }) => profile ?? []);
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
