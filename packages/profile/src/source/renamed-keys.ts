import { printable } from '@virtio-platform/core';
import { displayLocation, issueAt, type Place, type ProfileIssue, type SourceLocation } from './profile-issue.ts';
import { nodeAt, type MapEntry, type MapNode, type SourceNode } from './source-node.ts';

/** The release in which old names of keys stop working. */
const LAST_RELEASE = '0.3';

/** A key that has an old name, at its place. The profile is read as if it had the new name. */
export interface ProfileWarning extends SourceLocation {
  /** The old name, from the top of the profile: `workload.interruptions`. */
  readonly path: string;
  /** A sentence that names the new key. */
  readonly message: string;
}

/** A profile whose keys have their new names. */
export interface RenamedProfile {
  readonly root: MapNode;
  /** One for each old name that stands in the profile. */
  readonly warnings: readonly ProfileWarning[];
  /** One for each key whose old and new name are both given in one file. */
  readonly issues: readonly ProfileIssue[];
}

/** One line, as {@link printable} gives it: `file:line:column: warning: message`. */
export function formatWarning(warning: ProfileWarning): string {
  return printable(`${displayLocation(warning)}: warning: ${warning.message}`);
}

/**
 * Gives keys their new names. `renames` maps the dotted path of an old name to that of the new one, from the top of the
 * profile. Values keep their places, and the new key has the place of the old one. Where a base has one name and the
 * profile that extends it the other, the profile's own value wins.
 */
export function renameKeys(root: MapNode, renames: Readonly<Record<string, string>>): RenamedProfile {
  const warnings: ProfileWarning[] = [];
  const issues: ProfileIssue[] = [];
  let renamed = root;
  for (const [oldName, newName] of Object.entries(renames)) {
    const [oldPath, newPath] = [oldName.split('.'), newName.split('.')];
    const entry = entryAt(renamed, oldPath);
    if (entry === undefined) continue;
    const { location } = entry.key;
    const message = `${oldName} is now ${newName}; the old name works until ${LAST_RELEASE}`;
    warnings.push({ ...location, path: oldName, message });
    const other = entryAt(renamed, newPath);
    const isBoth = other !== undefined && other.key.location.file === location.file;
    if (isBoth) {
      issues.push(
        issueAt(entry.key, oldPath, `is the old name of ${newName}, which is given too; leave one of them out`),
      );
    }
    const wins = other === undefined || (!isBoth && isLaidOver(renamed, oldPath, newPath));
    renamed = without(renamed, oldPath);
    if (wins) renamed = withEntry(renamed, newPath, entry);
  }
  return { root: renamed, warnings, issues };
}

function entryAt(root: MapNode, path: readonly string[]): MapEntry | undefined {
  const parent = nodeAt(root, path.slice(0, -1));
  return parent?.kind === 'map' ? parent.entries.get(path.at(-1)!) : undefined;
}

/**
 * Whether the entry at `path` comes from a later file than that at `other`: merging appends what a base does not have.
 */
function isLaidOver(root: MapNode, path: readonly string[], other: readonly string[]): boolean {
  const split = path.findIndex((step, i) => step !== other[i]);
  const shared = nodeAt(root, path.slice(0, split));
  const keys = shared?.kind === 'map' ? [...shared.entries.keys()] : [];
  return keys.indexOf(path[split]!) > keys.indexOf(other[split]!);
}

function without(map: MapNode, [step, ...rest]: readonly string[]): MapNode {
  const entries = new Map(map.entries);
  const below = entries.get(step!);
  if (rest.length === 0 || below?.value.kind !== 'map') entries.delete(step!);
  else entries.set(step!, { ...below, value: without(below.value, rest) });
  return { ...map, entries };
}

/** Puts an entry at `path`; a map that is missing on the way stands where the entry stands. */
function withEntry(map: MapNode, [step, ...rest]: readonly string[], entry: MapEntry): MapNode {
  const below = map.entries.get(step!);
  const key: Place = below?.key ?? { ...entry.key, text: step! };
  const inner: SourceNode | undefined = below?.value;
  const parent: MapNode = inner?.kind === 'map' ? inner : { ...entry.key, kind: 'map', entries: new Map() };
  const value = rest.length === 0 ? entry.value : withEntry(parent, rest, entry);
  return { ...map, entries: new Map(map.entries).set(step!, { key: rest.length === 0 ? entry.key : key, value }) };
}
