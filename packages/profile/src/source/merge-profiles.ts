import type { MapEntry, MapNode } from './source-node.ts';
/** Sections whose other keys mean something only to the plugin that `use` names. */
const PLUGIN_SECTIONS: ReadonlySet<string> = new Set(['platform', 'machine']);

type MayMerge = (key: string, base: MapNode, child: MapNode) => boolean;

/**
 * Lays a profile over its base. Maps are merged key by key, anything else is replaced. A section that uses another
 * plugin than the base replaces the base's section, whose options are none of its own; and a `matrix` replaces the
 * base's.
 */
export function mergeProfiles(base: MapNode, child: MapNode): MapNode {
  return mergeMaps(withoutOtherName(base, child), child, mayMergeSection);
}

/** The names of a device type, of which a profile has one: the other one of its base goes. */
const TYPE_NAMES = ['type', 'use'];

function withoutOtherName(base: MapNode, child: MapNode): MapNode {
  const entry = base.entries.get('device');
  const above = child.entries.get('device')?.value;
  if (entry?.value.kind !== 'map' || above?.kind !== 'map') return base;
  if (!TYPE_NAMES.some((name) => above.entries.has(name))) return base;
  const kept = [...entry.value.entries].filter(([key]) => !TYPE_NAMES.includes(key));
  const device = { key: entry.key, value: { ...entry.value, entries: new Map(kept) } };
  return { ...base, entries: new Map(base.entries).set('device', device) };
}

/** Lays one map over another, key by key. */
export function mergeMaps(base: MapNode, child: MapNode, mayMerge: MayMerge = () => true): MapNode {
  const entries = new Map<string, MapEntry>(base.entries);
  for (const [key, entry] of child.entries) {
    const below = base.entries.get(key)?.value;
    const above = entry.value;
    const merges = below?.kind === 'map' && above.kind === 'map' && mayMerge(key, below, above);
    entries.set(key, merges ? { key: entry.key, value: mergeMaps(below, above) } : entry);
  }
  return { ...child, entries };
}

function mayMergeSection(key: string, base: MapNode, child: MapNode): boolean {
  if (key === 'matrix') return false;
  return !PLUGIN_SECTIONS.has(key) || usesSamePlugin(base, child);
}

function usesSamePlugin(base: MapNode, child: MapNode): boolean {
  const below = base.entries.get('use')?.value;
  const above = child.entries.get('use')?.value;
  if (above === undefined) return true;
  return below?.kind === 'scalar' && above.kind === 'scalar' && below.value === above.value;
}
