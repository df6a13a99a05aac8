import { resolve } from 'node:path';
import { featureBit, FeatureSet } from '@virtio-platform/core';
import { findContradictions, readableValues } from './cross-checks.ts';
import { findPluginIssues } from './check-plugins.ts';
import { pluginUse } from './plugin-use.ts';
import type { Profile, SourceLocation } from './profile.ts';
import { ProfileError } from './profile-error.ts';
import { issueAt, type ProfileIssue } from './profile-issue.ts';
import { DEVICE_TYPE, knownKeys, PROFILE_SCHEMA, type CheckedProfile } from './profile-schema.ts';
import { readSources, resolveBeside } from './read-sources.ts';
import type { ResolutionOptions } from './resolve-plugin.ts';
import { nodeAt, placeOf, plainMap, plainValue, type MapNode } from './source-node.ts';
import { translateIssues } from './translate-issues.ts';

/** What is known of a profile that was looked at. */
export interface ProfileCheck {
  /** `undefined` where the profile itself has issues; those of its plugins leave it there. */
  readonly profile: Profile | undefined;
  /** In the order of files and lines. */
  readonly issues: readonly ProfileIssue[];
}

/**
 * Loads a profile: parses it, merges what it extends, and checks it. Throws {@link ProfileError} with everything that is wrong,
 * also with the plugins and their options. Plugins of a profile without issues are not loaded yet.
 */
export async function loadProfile(path: string, options: ResolutionOptions = {}): Promise<Profile> {
  const { root, profile, issues } = await checkStatically(path);
  if (profile !== undefined) return profile;
  throw new ProfileError(await withPluginIssues(root, issues, options));
}

/** Finds everything that is wrong with a profile, its plugins and their options. */
export async function checkProfile(path: string, options: ResolutionOptions = {}): Promise<ProfileCheck> {
  const { root, profile, issues } = await checkStatically(path);
  return { profile, issues: await withPluginIssues(root, issues, options) };
}

interface StaticCheck extends ProfileCheck {
  readonly root: MapNode | undefined;
}

async function checkStatically(path: string): Promise<StaticCheck> {
  const { root, issues } = await readSources(path);
  if (root === undefined) return { root, profile: undefined, issues };
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

  const isComplete = !issues.some(({ code }) => code !== 'ERR_PROFILE_INVALID');
  const found = translated.filter(({ isMissing }) => isComplete || !isMissing).map(({ issue }) => issue);
  if (isComplete) {
    const faulty = new Set([...issues, ...found].map((issue) => issue.path.split('.', 1)[0]!));
    const isSound = (section: string): boolean =>
      !faulty.has(section) && (section in values || [...faulty].every((key) => knownKeys([]).includes(key)));
    const contradictions = findContradictions(readableValues(values, isSound));
    found.push(...contradictions.map(({ path: at, message }) => issueAt(placeOf(root, at), at, message)));
  }
  const all = [...issues, ...found.filter((issue) => isBelieved(issue, issues))];
  if (all.length > 0 || !result.success) return { root, profile: undefined, issues: all };
  return { root, profile: buildProfile(path, root, result.data), issues: [] };
}

/** What follows a syntax error is a guess of the parser's, and what stands at the place of an issue is explained by it. */
function isBelieved(issue: ProfileIssue, sourceIssues: readonly ProfileIssue[]): boolean {
  return !sourceIssues.some((other) => {
    if (other.file !== issue.file) return false;
    const order = comparePlaces(other, issue);
    return order === 0 || (order < 0 && other.code === 'ERR_PROFILE_SYNTAX');
  });
}

async function withPluginIssues(
  root: MapNode | undefined,
  issues: readonly ProfileIssue[],
  options: ResolutionOptions,
): Promise<ProfileIssue[]> {
  const uses = { platform: root && pluginUse(root, 'platform'), machine: root && pluginUse(root, 'machine') };
  const found = await findPluginIssues(uses, options);
  const files = [...new Set([...issues, ...found].map(({ file }) => file))];
  return [...issues, ...found.filter((issue) => isBelieved(issue, issues))].toSorted(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || comparePlaces(a, b),
  );
}

function comparePlaces(a: SourceLocation, b: SourceLocation): number {
  return a.line - b.line || a.column - b.column;
}

function buildProfile(path: string, root: MapNode, checked: CheckedProfile): Profile {
  const { device, driver, expect } = checked;
  return {
    name: checked.profile,
    summary: checked.summary,
    file: resolve(path),
    // The schema has made sure that both are named.
    platform: pluginUse(root, 'platform')!,
    machine: pluginUse(root, 'machine')!,
    memory: checked.machine.memory,
    device: {
      ...device,
      offers: device.offers && FeatureSet.of(...device.offers.map((name) => featureBit(name, DEVICE_TYPE)!)),
      image: device.image && resolve(resolveBeside(placeOf(root, ['device', 'image']).location, device.image)),
    },
    driver: {
      privilege: driver.privilege,
      interface: driver.interface ?? (device.interface === 'legacy' ? 'legacy' : 'modern'),
      buffers: driver.buffers,
      timeoutMs: driver.timeout,
    },
    queue: checked.queue,
    workload: checked.workload,
    expect,
  };
}
