import type { Place } from '../source/profile-issue.ts';
import type { MapNode, SourceNode } from '../source/source-node.ts';

/**
 * Puts `value` into the maps that lead to it from `base` on, `path` having at least one key. Maps that `base` has keep
 * their places; the others stand where `key` stands.
 */
export function wrapNode(
  base: SourceNode | undefined,
  path: readonly string[],
  key: Place,
  value: SourceNode,
): MapNode {
  const [step, ...rest] = path;
  const map = base?.kind === 'map' ? base : undefined;
  const below = map?.entries.get(step!);
  const entry =
    rest.length === 0 ? { key, value } : { key: below?.key ?? key, value: wrapNode(below?.value, rest, key, value) };
  return { ...(map ?? key), kind: 'map', entries: new Map([[step!, entry]]) };
}
