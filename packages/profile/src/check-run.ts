import { resolve } from 'node:path';
import { isCodedError, type CodedError, type DeviceTypePlugin } from '@virtio-platform/core';
import { NO_DEVICE_FEATURES } from '@virtio-platform/core/features';
import { issuesOf } from './plugin/check-plugins.ts';
import { findContradictions, type Contradiction } from './schema/cross-checks.ts';
import { deviceSection } from './schema/device-section.ts';
import { NO_VOCABULARY, reportedNames, type DeviceVocabulary } from './schema/device-vocabulary.ts';
import { driverSection } from './schema/driver-section.ts';
import type { ProfileRun } from './matrix/expand-matrix.ts';
import type { DeviceTypeLoader, LoadedDeviceType } from './plugin/load-device-type.ts';
import { displayUse, pluginUse } from './plugin/plugin-use.ts';
import { policySection } from './schema/policy-section.ts';
import type { NamedRun, Profile } from './schema/profile.ts';
import { issueAt, formatIssue, type Place, type ProfileIssue } from './source/profile-issue.ts';
import { knownKeys, RENAMED_KEYS, type CheckedProfile } from './schema/profile-schema.ts';
import { readProfile } from './schema/read-profile.ts';
import { renameKeys, type ProfileWarning } from './source/renamed-keys.ts';
import { nodeAt, placeOf, plainMap, plainValue, type MapNode } from './source/source-node.ts';
import { isSetPlace } from './source/set-values.ts';
import { translateIssues, type RawIssue } from './source/translate-issues.ts';
import { isRecord } from './source/unknown-value.ts';
import { readTypedValues, unreadValues, type TypedValues } from './schema/typed-values.ts';

/** What is known of one run of a profile. */
export interface RunCheck {
  /** The run as it is written, by the names that its keys have. */
  readonly root: MapNode;
  /** What reports call the run. */
  readonly name: string;
  /** `undefined` where the schema has issues, or the device type does something wrong. */
  readonly profile: Profile | undefined;
  /** What the device type does wrong. */
  readonly failure: RunFailure | undefined;
  /** What is wrong with single values. */
  readonly issues: readonly ProfileIssue[];
  /** Values that do not go together. */
  readonly contradictions: readonly ProfileIssue[];
  /** Keys that have an old name. */
  readonly warnings: readonly ProfileWarning[];
}

/** What the device type of a run does wrong, where that keeps the run from being checked. */
export interface RunFailure {
  readonly error: CodedError;
  /** The same as issues of the profile. */
  readonly issues: readonly ProfileIssue[];
  /** What else is known of the run; `undefined` where its text has issues. */
  readonly run: NamedRun | undefined;
}

/** What was found while a profile was read. */
export interface Reading {
  readonly file: string;
  readonly issues: readonly ProfileIssue[];
  /** Whether what is not there is really missing, and not hidden by one of the issues. */
  readonly isComplete: boolean;
  /** Whether the workload will be run, so that the device has to have what it asks for. */
  readonly runsWorkload: boolean;
}

/**
 * Checks one run of a profile by itself. `loader` loads the type of its device; `others` are types whose words are told
 * from those that have no meaning. A schema of the type has `timeoutMs` to settle.
 */
export async function checkRun(
  run: ProfileRun,
  reading: Reading,
  loader: DeviceTypeLoader,
  others: readonly DeviceTypePlugin[],
  timeoutMs?: number,
): Promise<RunCheck> {
  const { isComplete, file, runsWorkload } = reading;
  const { root, warnings, issues: renameIssues } = renameKeys(run.root, RENAMED_KEYS);
  const values = plainMap(root);
  const device = await loader.load(root);
  const known = vocabularyOf(device.type, others);
  const vocabulary = device.error === undefined ? known : { ...known, isOpen: true };
  const read = readProfile(values, vocabulary);
  let error: CodedError | undefined = device.error;
  /** What the device type makes of something, or `otherwise` where it does something wrong. */
  const ask = async <T>(body: () => T | Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await body();
    } catch (thrown) {
      if (!isCodedError(thrown)) throw thrown;
      error ??= thrown;
      return otherwise;
    }
  };
  const typed = await ask(() => readTypedValues(root, device, vocabulary, timeoutMs), unreadValues(device.type));
  const translated = translateIssues(
    [...read.issues, ...namingIssues(values)],
    {
      prefix: [],
      valueAt: (at) => (nodeAt(root, at) === undefined ? undefined : plainValue(nodeAt(root, at)!)),
      placeOf: (at, part) => placeOf(root, at, part),
      knownKeys: (at) => knownKeys(at, vocabulary),
    },
    'ERR_PROFILE_INVALID',
  );
  // A misspelt key of every device is no setting of the type either: one mistake.
  const already = new Set(translated.map(({ issue }) => issue.path));
  const found = [...translated, ...typed.issues.filter(({ issue }) => !already.has(issue.path))]
    .filter(({ isMissing }) => isComplete || !isMissing)
    .map(({ issue }) => issue);
  const issues = [...renameIssues, ...device.issues, ...found];
  const contradictions: ProfileIssue[] = [];
  if (isComplete) {
    const faulty = new Set([...reading.issues, ...issues].map((issue) => issue.path.split('.', 1)[0]!));
    const isSound = (section: string): boolean =>
      !faulty.has(section) &&
      (section in values || [...faulty].every((key) => knownKeys([], vocabulary).includes(key)));
    const wrong = await ask<Contradiction[]>(() => findContradictions(read.readableValues(isSound), typed), []);
    const counts = ({ path: [section, key] }: Contradiction): boolean =>
      runsWorkload || section !== 'workload' || key === 'kind';
    const wrongHere = wrong.filter(counts);
    contradictions.push(...wrongHere.map((each) => issueAt(laidOver(root, each, file), each.path, each.message)));
  }
  const name = nameOfRun(run);
  const { checked } = read;
  const isRight = checked !== undefined && issues.length === 0;
  if (error !== undefined) {
    const run = isRight ? namedRun(file, name, root, checked, device) : undefined;
    const failure = { error, issues: issuesOf('device', device.use!, error), run };
    return { root, name, profile: undefined, failure, issues, contradictions, warnings };
  }
  const profile = isRight ? buildProfile(file, name, root, checked, device, typed) : undefined;
  return { root, name, profile, failure: undefined, issues, contradictions, warnings };
}

/**
 * The place of a contradiction: of its values the one that was laid over the others, by `--set` or by the profile
 * `file` over those that it extends.
 */
function laidOver(root: MapNode, { path, with: others = [] }: Contradiction, file: string): Place {
  const given = others.filter((other) => nodeAt(root, other) !== undefined);
  const places = [path, ...given].map((each) => placeOf(root, each));
  const ofFile = (name: string): Place | undefined =>
    places.find(({ location }) => resolve(location.file) === resolve(name));
  return places.find(isSetPlace) ?? ofFile(file) ?? places[0]!;
}

/** What reports call a run. */
export function nameOfRun({ root, label }: ProfileRun): string {
  const node = nodeAt(root, ['profile']);
  const profile = node === undefined ? undefined : plainValue(node);
  const ofProfile = typeof profile === 'string' ? profile : 'this profile';
  return label === '' ? ofProfile : `${ofProfile} [${label}]`;
}

/** What is wrong with how a profile names the type of its device. */
function namingIssues({ device }: Readonly<Record<string, unknown>>): RawIssue[] {
  if (!isRecord(device) || Array.isArray(device)) return [];
  const isBoth = device['type'] !== undefined && device['use'] !== undefined;
  if (isBoth) return [{ path: ['device', 'use'], message: 'names a device type as `type` does: give one of them' }];
  const isNamed = device['type'] !== undefined || device['use'] !== undefined;
  return isNamed ? [] : [{ path: ['device', 'type'], message: 'is missing' }];
}

const vocabularies = new WeakMap<DeviceTypePlugin, DeviceVocabulary>();

/** The vocabulary of a type, the same one for all runs without `others`, since schemas are made for each. */
function vocabularyOf(type: DeviceTypePlugin | undefined, others: readonly DeviceTypePlugin[]): DeviceVocabulary {
  if (type === undefined && others.length === 0) return NO_VOCABULARY;
  const known = type === undefined || others.length > 0 ? undefined : vocabularies.get(type);
  const vocabulary = known ?? { type, others };
  if (type !== undefined && others.length === 0) vocabularies.set(type, vocabulary);
  return vocabulary;
}

/** What is known of a run of which the text is right, and the type of the device is not. */
function namedRun(
  file: string,
  name: string,
  root: MapNode,
  { policy, queue, workload, expect }: CheckedProfile,
  { use, type }: LoadedDeviceType,
): NamedRun {
  const unloaded = { name: displayUse(use!.use), features: NO_DEVICE_FEATURES };
  return {
    name,
    file: resolve(file),
    platform: pluginUse(root, 'platform')!,
    machine: pluginUse(root, 'machine')!,
    workload,
    device: { use: use!, type: type ?? unloaded },
    policy: policySection(policy),
    queue,
    expect,
  };
}

function buildProfile(
  file: string,
  name: string,
  root: MapNode,
  checked: CheckedProfile,
  { use, type, module }: LoadedDeviceType,
  { settings, options }: TypedValues,
): Profile | undefined {
  const { device, expect } = checked;
  if (use === undefined || type === undefined || settings === undefined || options === undefined) return undefined;
  const policy = policySection(checked.policy);
  return {
    name,
    summary: checked.summary,
    file: resolve(file),
    // The schema has made sure that both are named.
    platform: pluginUse(root, 'platform')!,
    machine: pluginUse(root, 'machine')!,
    memory: checked.machine.memory,
    device: deviceSection(device, { use, type, module, settings: settings.value }, policy.bits),
    driver: driverSection(checked.driver, device, type.features, policy.bits),
    policy,
    queue: checked.queue,
    workload: { ...checked.workload, options: options.value },
    failures: checked.failures,
    expect: {
      ...expect,
      ...(expect.accepted && { accepted: reportedNames(expect.accepted, type.features, policy.bits) }),
      ...(expect.declined && { declined: reportedNames(expect.declined, type.features, policy.bits) }),
    },
  };
}

/** Lists what is wrong with the runs of a profile, each mistake once, whatever number of runs it stands in. */
export function issuesOfRuns(checks: readonly RunCheck[]): ProfileIssue[] {
  const contradictions = checks.map(({ contradictions: issues, ...run }) => ({ ...run, issues }));
  return [...namedIssues(checks), ...namedIssues(contradictions, () => true)];
}

/** The issues, each text once. */
export function distinctIssues(issues: readonly ProfileIssue[]): ProfileIssue[] {
  return [...new Map(issues.map((issue) => [formatIssue(issue), issue])).values()];
}

/**
 * The issues of runs, each text once. One that only some runs have names the first of them, where it stands in a run
 * that has it not: nothing may look wrong there. What two values contradict may stand anywhere (`isAnywhere`).
 */
export function namedIssues(
  runs: readonly Pick<RunCheck, 'name' | 'root' | 'issues'>[],
  isAnywhere: (issue: ProfileIssue, root: MapNode) => boolean = standsIn,
): ProfileIssue[] {
  const texts = runs.map(({ issues }) => new Set(issues.map(formatIssue)));
  const found = new Map<string, ProfileIssue>();
  for (const { name, issues } of runs) {
    for (const issue of issues) {
      const text = formatIssue(issue);
      if (found.has(text)) continue;
      const isElsewhere = runs.some(({ root }, i) => !texts[i]!.has(text) && isAnywhere(issue, root));
      found.set(text, isElsewhere ? { ...issue, message: `${issue.message} (in ${name})` } : issue);
    }
  }
  return [...found.values()];
}

/** Whether what an issue is about is written at the same place in this run. */
function standsIn(issue: ProfileIssue, root: MapNode): boolean {
  const path = issue.path.split('.');
  return (['value', 'key'] as const).some((part) => {
    const { file, line, column, key } = placeOf(root, path, part).location;
    return file === issue.file && line === issue.line && column === issue.column && key === issue.key;
  });
}
