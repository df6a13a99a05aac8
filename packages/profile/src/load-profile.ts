import { resolve } from 'node:path';
import { findPluginIssues } from './plugin/check-plugins.ts';
import {
  checkRun,
  distinctIssues,
  issuesOfRuns,
  namedIssues,
  nameOfRun,
  type Reading,
  type RunCheck,
} from './check-run.ts';
import type { CodedError, DeviceTypePlugin } from '@virtio-platform/core';
import { DeviceTypeLoader } from './plugin/load-device-type.ts';
import { expandMatrix, type ProfileRun } from './matrix/expand-matrix.ts';
import { pluginUse } from './plugin/plugin-use.ts';
import type { NamedRun, Profile } from './schema/profile.ts';
import type { SourceLocation } from './source/profile-issue.ts';
import {
  formatIssue,
  MAX_ISSUES,
  ProfileError,
  issueAt,
  type Place,
  type ProfileIssue,
} from './source/profile-issue.ts';
import { locateSource, type ProfileSource } from './source/profile-source.ts';
import { readSources } from './source/read-sources.ts';
import { setValues } from './source/set-values.ts';
import { formatWarning, type ProfileWarning } from './source/renamed-keys.ts';
import type { ResolutionOptions } from './plugin/resolve-plugin.ts';
import type { MapNode } from './source/source-node.ts';

/** How a profile is loaded. */
export interface LoadOptions extends ResolutionOptions {
  /**
   * The folder from which the paths in text and in an object start, and packages are looked for; the current one unless
   * given. Those in a file start at the folder of the file.
   */
  readonly baseDirectory?: string | undefined;
  /**
   * Values that are laid over the profile, as `path=value` with the value as YAML: `queue.layout=packed`. A `matrix` no
   * longer varies what is set.
   */
  readonly set?: readonly string[] | undefined;
  /**
   * Whether the workload will be run; true unless given. Without it the workload may ask for what the device does not
   * have.
   */
  readonly runsWorkload?: boolean | undefined;
}

/** What is known of a profile that was looked at. */
export interface ProfileCheck {
  /** One for each run; empty where the profile itself has issues. Those of its plugins leave them there. */
  readonly profiles: readonly Profile[];
  /** In the order of files and lines. */
  readonly issues: readonly ProfileIssue[];
}

/** A run of a profile, or why the type of its device cannot be used. */
export type LoadedRun =
  | { readonly profile: Profile; readonly error?: undefined }
  | { readonly profile?: undefined; readonly run: NamedRun; readonly error: CodedError };

/**
 * As {@link loadProfiles}, but where nothing is wrong except what a device type does, its error stands for each of the
 * runs with that type.
 */
export async function loadEachRun(source: ProfileSource, options: LoadOptions = {}): Promise<readonly LoadedRun[]> {
  const check = await checkStatically(source, options);
  const runs = check.checks.map(({ profile, failure }): LoadedRun | undefined => {
    if (profile !== undefined) return { profile };
    return failure?.run && { run: failure.run, error: failure.error };
  });
  const known = runs.filter((run) => run !== undefined);
  if (check.textIssues.length === 0 && known.length > 0 && known.length === runs.length) return known;
  throw await errorOf(check, options);
}

/**
 * Loads the runs of a profile, of which a `matrix` makes several: reads a file, text or an object, merges what it
 * extends, and checks each run. Throws {@link ProfileError} with everything that is wrong, also with the plugins and
 * their options. Plugins of a profile without issues are not loaded yet.
 */
export async function loadProfiles(source: ProfileSource, options: LoadOptions = {}): Promise<readonly Profile[]> {
  const { profiles } = await loadRuns(source, options);
  return profiles;
}

/**
 * Loads a profile that is one run, as {@link loadProfiles} does. Throws {@link ProfileError} where a `matrix` makes
 * several.
 */
export async function loadProfile(source: ProfileSource, options: LoadOptions = {}): Promise<Profile> {
  const { profiles, matrix } = await loadRuns(source, options);
  if (profiles.length === 1) return profiles[0]!;
  const message = `makes ${profiles.length} runs of this profile, where one is wanted`;
  throw new ProfileError([issueAt(matrix!, ['matrix'], message, { code: 'ERR_PROFILE_MATRIX' })]);
}

/** Finds everything that is wrong with a profile, its plugins and their options. */
export async function checkProfile(source: ProfileSource, options: LoadOptions = {}): Promise<ProfileCheck> {
  const check = await checkStatically(source, options);
  return { profiles: check.profiles, issues: await withPluginIssues(check, options) };
}

interface StaticCheck extends ProfileCheck {
  /** Each run as it is written, and its name; none where there is nothing to check. */
  readonly runs: readonly { readonly name: string; readonly root: MapNode }[];
  readonly checks: readonly RunCheck[];
  /** The issues but those of the device types. */
  readonly textIssues: readonly ProfileIssue[];
  /** Where the profile, or its base, is multiplied. */
  readonly matrix?: Place | undefined;
}

async function loadRuns(source: ProfileSource, options: LoadOptions): Promise<StaticCheck> {
  const check = await checkStatically(source, options);
  if (check.issues.length === 0) return check;
  throw await errorOf(check, options);
}

async function errorOf(check: StaticCheck, options: ResolutionOptions): Promise<ProfileError> {
  return new ProfileError(await withPluginIssues(check, options));
}

async function checkStatically(source: ProfileSource, options: LoadOptions): Promise<StaticCheck> {
  const located = locateSource(source, options.baseDirectory);
  const { file } = located;
  const { baseDirectory = process.cwd(), set = [], runsWorkload = true } = options;
  const sources = setValues(await readSources(located), set, resolve(baseDirectory));
  if (sources.root === undefined) {
    const { issues } = sources;
    return { runs: [], checks: [], profiles: [], issues, textIssues: issues };
  }
  const matrix = expandMatrix(sources.root);
  const read = [...sources.issues, ...matrix.issues];
  const isComplete = matrix.issues.length === 0 && read.every(({ code }) => code === 'ERR_PROFILE_INVALID');
  const loader = new DeviceTypeLoader(options);
  const reading = { file, issues: read, isComplete, runsWorkload };
  const check = async (others: readonly DeviceTypePlugin[]): Promise<RunCheck[]> =>
    await checkRuns(matrix.runs, reading, loader, others, options.pluginTimeoutMs);
  const first = await check([]);
  // Only what is wrong needs the words of other device types, to be told from those that have no meaning.
  const isRight = first.every(({ profile, failure, contradictions }) => {
    return (profile ?? failure?.run) !== undefined && contradictions.length === 0;
  });
  const checks = isRight ? first : await check(await loader.installed(file));
  warnOnce(checks.flatMap(({ warnings }) => warnings));
  const believed = (issue: ProfileIssue): boolean => isBelieved(issue, read);
  const textIssues = [...read, ...issuesOfRuns(checks).filter(believed)].slice(0, MAX_ISSUES);
  const ofTypes = distinctIssues(checks.flatMap(({ failure }) => failure?.issues ?? [])).filter(believed);
  const issues = [...ofTypes, ...textIssues].slice(0, MAX_ISSUES);
  return {
    runs: matrix.runs.map((run) => ({ name: nameOfRun(run), root: run.root })),
    matrix: sources.root.entries.get('matrix')?.key,
    profiles: issues.length > 0 ? [] : checks.flatMap(({ profile }) => profile ?? []),
    checks,
    issues,
    textIssues,
  };
}

/** Checks one run after the other, and no more of them once there are {@link MAX_ISSUES}. */
async function checkRuns(
  runs: readonly ProfileRun[],
  reading: Reading,
  loader: DeviceTypeLoader,
  others: readonly DeviceTypePlugin[],
  timeoutMs: number | undefined,
): Promise<RunCheck[]> {
  const checks: RunCheck[] = [];
  const found = new Set<string>();
  for (const run of runs) {
    const check = await checkRun(run, reading, loader, others, timeoutMs);
    checks.push(check);
    for (const issue of check.issues) found.add(formatIssue(issue));
    if (found.size >= MAX_ISSUES) break;
  }
  return checks;
}

/** Warns of each key with an old name, once for all runs of a profile. */
function warnOnce(warnings: readonly ProfileWarning[]): void {
  for (const line of new Set(warnings.map(formatWarning))) process.emitWarning(line, 'ProfileWarning');
}

/**
 * What follows a syntax error is a guess of the parser's, and what stands at the place of an issue is explained by it.
 */
function isBelieved(issue: ProfileIssue, sourceIssues: readonly ProfileIssue[]): boolean {
  return !sourceIssues.some((other) => {
    if (other.file !== issue.file) return false;
    if (issue.key !== undefined) return other.key === issue.key;
    const order = comparePlaces(other, issue);
    return order === 0 || (order < 0 && other.code === 'ERR_PROFILE_SYNTAX');
  });
}

async function withPluginIssues(
  { runs, issues }: Pick<StaticCheck, 'runs' | 'issues'>,
  options: ResolutionOptions,
): Promise<ProfileIssue[]> {
  const checked: { name: string; root: MapNode; issues: readonly ProfileIssue[] }[] = [];
  for (const { name, root } of runs) {
    const named = { platform: pluginUse(root, 'platform'), machine: pluginUse(root, 'machine') };
    checked.push({ name, root, issues: await findPluginIssues(named, options) });
    if (distinctIssues(checked.flatMap(({ issues: ofRun }) => ofRun)).length >= MAX_ISSUES) break;
  }
  const found = namedIssues(checked);
  const files = [...new Set([...issues, ...found].map(({ file }) => file))];
  return [...issues, ...found.filter((issue) => isBelieved(issue, issues))]
    .toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || comparePlaces(a, b))
    .slice(0, MAX_ISSUES);
}

function comparePlaces(a: SourceLocation, b: SourceLocation): number {
  return a.line - b.line || a.column - b.column;
}
