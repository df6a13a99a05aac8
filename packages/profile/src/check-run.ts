import { resolve } from 'node:path';
import { findContradictions } from './schema/cross-checks.ts';
import { deviceSection } from './schema/device-section.ts';
import { reportedNames } from './schema/device-types.ts';
import { driverSection } from './schema/driver-section.ts';
import type { ProfileRun } from './matrix/expand-matrix.ts';
import { pluginUse } from './plugin/plugin-use.ts';
import { policySection } from './schema/policy-section.ts';
import type { Profile } from './schema/profile.ts';
import { issueAt, formatIssue, type ProfileIssue } from './source/profile-issue.ts';
import { knownKeys, RENAMED_KEYS, type CheckedProfile } from './schema/profile-schema.ts';
import { readProfile } from './schema/read-profile.ts';
import { renameKeys, type ProfileWarning } from './source/renamed-keys.ts';
import { resolveBeside } from './source/read-sources.ts';
import { nodeAt, placeOf, plainMap, plainValue, type MapNode } from './source/source-node.ts';
import { translateIssues } from './source/translate-issues.ts';

/** What is known of one run of a profile. */
export interface RunCheck {
  /** What reports call the run. */
  readonly name: string;
  /** `undefined` where the schema has issues. */
  readonly profile: Profile | undefined;
  /** What is wrong with single values. */
  readonly issues: readonly ProfileIssue[];
  /** Values that do not go together. */
  readonly contradictions: readonly ProfileIssue[];
  /** Keys that have an old name. */
  readonly warnings: readonly ProfileWarning[];
}

/** What was found while a profile was read. */
export interface Reading {
  readonly file: string;
  readonly issues: readonly ProfileIssue[];
  /** Whether what is not there is really missing, and not hidden by one of the issues. */
  readonly isComplete: boolean;
}

/** Checks one run of a profile by itself. */
export function checkRun(run: ProfileRun, reading: Reading): RunCheck {
  const { isComplete, file } = reading;
  const { root, warnings, issues: renameIssues } = renameKeys(run.root, RENAMED_KEYS);
  const values = plainMap(root);
  const read = readProfile(values);
  const translated = translateIssues(
    read.issues,
    {
      prefix: [],
      valueAt: (at) => (nodeAt(root, at) === undefined ? undefined : plainValue(nodeAt(root, at)!)),
      placeOf: (at, part) => placeOf(root, at, part),
      knownKeys,
    },
    'ERR_PROFILE_INVALID',
  );
  const found = translated.filter(({ isMissing }) => isComplete || !isMissing).map(({ issue }) => issue);
  const issues = [...renameIssues, ...found];
  const contradictions: ProfileIssue[] = [];
  if (isComplete) {
    const faulty = new Set([...reading.issues, ...issues].map((issue) => issue.path.split('.', 1)[0]!));
    const isSound = (section: string): boolean =>
      !faulty.has(section) && (section in values || [...faulty].every((key) => knownKeys([]).includes(key)));
    const wrong = findContradictions(read.readableValues(isSound));
    contradictions.push(...wrong.map(({ path, message }) => issueAt(placeOf(root, path), path, message)));
  }
  const ofProfile = typeof values['profile'] === 'string' ? values['profile'] : 'this profile';
  const name = run.label === '' ? ofProfile : `${ofProfile} [${run.label}]`;
  const isRight = read.checked !== undefined && renameIssues.length === 0;
  const profile = isRight ? buildProfile(file, name, root, read.checked) : undefined;
  return { name, profile, issues, contradictions, warnings };
}

function buildProfile(file: string, name: string, root: MapNode, checked: CheckedProfile): Profile {
  const { device, expect } = checked;
  const policy = policySection(checked.policy);
  return {
    name,
    summary: checked.summary,
    file: resolve(file),
    // The schema has made sure that both are named.
    platform: pluginUse(root, 'platform')!,
    machine: pluginUse(root, 'machine')!,
    memory: checked.machine.memory,
    device: deviceSection(device, policy.bits, (image) =>
      resolve(resolveBeside(placeOf(root, ['device', 'image']).location, image)),
    ),
    driver: driverSection(checked.driver, device, policy.bits),
    policy,
    queue: checked.queue,
    workload: checked.workload,
    failures: checked.failures,
    expect: {
      ...expect,
      ...(expect.accepted && { accepted: reportedNames(expect.accepted, device.type, policy.bits) }),
      ...(expect.declined && { declined: reportedNames(expect.declined, device.type, policy.bits) }),
    },
  };
}

/** Lists what is wrong with the runs of a profile, each mistake once, whatever number of runs it stands in. */
export function issuesOfRuns(checks: readonly RunCheck[]): ProfileIssue[] {
  return [...distinctIssues(checks.flatMap(({ issues }) => issues)), ...contradictionsOf(checks)];
}

/** The issues, each text once. */
export function distinctIssues(issues: readonly ProfileIssue[]): ProfileIssue[] {
  return [...new Map(issues.map((issue) => [formatIssue(issue), issue])).values()];
}

/** A contradiction that only some runs have names the first of them: where it stands, nothing may look wrong. */
function contradictionsOf(checks: readonly RunCheck[]): ProfileIssue[] {
  const found = new Map<string, { readonly issue: ProfileIssue; readonly name: string; runs: number }>();
  for (const { name, contradictions } of checks) {
    for (const issue of contradictions) {
      const known = found.get(formatIssue(issue));
      if (known === undefined) found.set(formatIssue(issue), { issue, name, runs: 1 });
      else known.runs++;
    }
  }
  return Array.from(found.values(), ({ issue, name, runs }) =>
    runs === checks.length ? issue : { ...issue, message: `${issue.message} (in ${name})` },
  );
}
