import { isAbsolute, resolve } from 'node:path';
import { byteSize } from '@virtio-platform/options';
import type { PluginUse } from '../schema/profile.ts';
import { displayPath } from '../source/profile-issue.ts';
import { resolveBeside } from '../source/read-sources.ts';
import { nodeAt, placeOf, plainValue, type MapNode } from '../source/source-node.ts';
/** The kinds of plugins, which are also the names of their sections. */
export type PluginKind = 'platform' | 'machine' | 'device';

/** A plugin, where a profile names it, and its checked options. */
export interface ChosenPlugin<Plugin> {
  readonly use: PluginUse;
  readonly plugin: Plugin;
  readonly options: unknown;
}

/** Keys of a plugin's section that are the profile's and no options of the plugin. */
export const RESERVED_KEYS: Readonly<Record<PluginKind, readonly string[]>> = {
  platform: ['use'],
  machine: ['use', 'memory'],
  device: ['type', 'use', 'interface', 'offers', 'misbehaves', 'dmaBits', 'minAlignMask'],
};

/** Takes the use of a plugin out of a profile, or `undefined` where the profile names none. */
export function pluginUse(root: MapNode, kind: PluginKind): PluginUse | undefined {
  const section = nodeAt(root, [kind]);
  const short = kind === 'device' ? nodeAt(root, [kind, 'type']) : undefined;
  const name = short ?? nodeAt(root, [kind, 'use']);
  if (section?.kind !== 'map' || name?.kind !== 'scalar') return undefined;
  if (typeof name.value !== 'string' || name.value === '') return undefined;
  const isPath = short === undefined && (isAbsolute(name.value) || /^\.\.?([/\\]|$)/.test(name.value));
  const options = Array.from(section.entries, ([key, { value }]) => [key, plainValue(value)] as const);
  return {
    use: isPath ? resolve(resolveBeside(name.location, name.value)) : name.value,
    isShort: short !== undefined,
    options: Object.fromEntries(options.filter(([key]) => !RESERVED_KEYS[kind].includes(key))),
    memory: kind === 'machine' ? readMemory(options.find(([key]) => key === 'memory')?.[1]) : undefined,
    location: name.location,
    locate: (path, part) => placeOf(root, [kind, ...path], part).location,
  };
}

/** Bytes of guest memory; `undefined` where the profile has no readable size, which the schema reports. */
function readMemory(value: unknown): number | undefined {
  return byteSize().safeParse(value).data;
}

/** A plugin as messages name it: its package, or its path from the current folder. */
export function displayUse(use: string): string {
  return isAbsolute(use) ? displayPath(use) : use;
}
