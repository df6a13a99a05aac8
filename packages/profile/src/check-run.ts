import { resolve } from 'node:path';
import { findContradictions, readableValues } from './cross-checks.ts';
import { deviceSection } from './device-section.ts';
import { reportedNames } from './device-types.ts';
import type { ProfileRun } from './expand-matrix.ts';
import { pluginUse } from './plugin-use.ts';
import type { Profile } from './profile.ts';
import { issueAt, type ProfileIssue } from './profile-issue.ts';
import { knownKeys, PROFILE_SCHEMA, type CheckedProfile } from './profile-schema.ts';
import { resolveBeside } from './read-sources.ts';
import { nodeAt, placeOf, plainMap, plainValue, type MapNode } from './source-node.ts';
import { translateIssues } from './translate-issues.ts';

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
}

/** What was found while a profile was read. */
export interface Reading {
  readonly file: string;
  readonly issues: readonly ProfileIssue[];
  /** Whether what is not there is really missing, and not hidden by one of the issues. */
  readonly isComplete: boolean;
}

/** Checks one run of a profile by itself. */
export function checkRun({ root, label }: ProfileRun, reading: Reading): RunCheck {
  const { isComplete, file } = reading;
  const values = plainMap(root);
  const result = PROFILE_SCHEMA.safeParse(values);
  const translated = translateIssues(
    result.error?.issues ?? [],
    {
      prefix: [],
      valueAt: (at) => (nodeAt(root, at) === undefined ? undefined : plainValue(nodeAt(root, at)!)),
      placeOf: (at, part) => placeOf(root, at, part),
      knownKeys,
    },
    'ERR_PROFILE_INVALID',
  );
  const issues = translated.filter(({ isMissing }) => isComplete || !isMissing).map(({ issue }) => issue);
  const contradictions: ProfileIssue[] = [];
  if (isComplete) {
    const faulty = new Set([...reading.issues, ...issues].map((issue) => issue.path.split('.', 1)[0]!));
    const isSound = (section: string): boolean =>
      !faulty.has(section) && (section in values || [...faulty].every((key) => knownKeys([]).includes(key)));
    const found = findContradictions(readableValues(values, isSound));
    contradictions.push(...found.map(({ path, message }) => issueAt(placeOf(root, path), path, message)));
  }
  const ofProfile = typeof values['profile'] === 'string' ? values['profile'] : 'this profile';
  const name = label === '' ? ofProfile : `${ofProfile} [${label}]`;
  const profile = result.success ? buildProfile(file, name, root, result.data) : undefined;
  return { name, profile, issues, contradictions };
}

function buildProfile(file: string, name: string, root: MapNode, checked: CheckedProfile): Profile {
  const { device, driver, expect } = checked;
  return {
    name,
    summary: checked.summary,
    file: resolve(file),
    // The schema has made sure that both are named.
    platform: pluginUse(root, 'platform')!,
    machine: pluginUse(root, 'machine')!,
    memory: checked.machine.memory,
    device: deviceSection(device, (image) =>
      resolve(resolveBeside(placeOf(root, ['device', 'image']).location, image)),
    ),
    driver: {
      privilege: driver.privilege,
      interface: driver.interface ?? (device.interface === 'legacy' ? 'legacy' : 'modern'),
      buffers: driver.buffers,
      timeoutMs: driver.timeout,
      sanitize: driver.sanitize,
    },
    queue: checked.queue,
    workload: checked.workload,
    expect: {
      ...expect,
      ...(expect.accepted && { accepted: reportedNames(expect.accepted, device.type) }),
      ...(expect.declined && { declined: reportedNames(expect.declined, device.type) }),
    },
  };
}
