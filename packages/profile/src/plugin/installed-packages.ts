import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isRecord, type UnknownRecord } from '../source/unknown-value.ts';
/** The keyword by which the package of a plugin is known. */
const KEYWORD = 'virtio-platform-plugin';

/** The package of a plugin, as its package.json describes it. */
export interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  /** The package.json. */
  readonly manifest: string;
  /** Whether the search began inside of it: it is under development, and its own files may name it by a path. */
  readonly isOwn: boolean;
}

/**
 * Finds the plugins among the dependencies of the packages that `bases`, which are files, belong to, and those packages
 * themselves where they are plugins: under development they find themselves by their name. Loads nothing.
 */
export function installedPackages(bases: readonly string[]): InstalledPackage[] {
  const found = new Map<string, InstalledPackage>();
  for (const manifest of new Set(bases.flatMap(enclosingManifests))) {
    const { name: ownName } = readManifest(manifest);
    const own = typeof ownName === 'string' ? pluginPackage(ownName, manifest) : undefined;
    if (own !== undefined) found.set(own.name, { ...own, isOwn: true });
    for (const name of dependencyNames(manifest)) {
      const installed = found.has(name) ? undefined : findPackage(name, manifest);
      if (installed !== undefined) found.set(name, installed);
    }
  }
  return [...found.values()].toSorted((a, b) => a.name.localeCompare(b.name));
}

/** The package.json files from the folder of `base` upwards. */
function enclosingManifests(base: string): string[] {
  return foldersUpward(dirname(resolve(base)))
    .map((folder) => join(folder, 'package.json'))
    .filter((manifest) => existsSync(manifest));
}

function findPackage(name: string, from: string): InstalledPackage | undefined {
  for (const folder of foldersUpward(dirname(from))) {
    const manifest = join(folder, 'node_modules', name, 'package.json');
    if (!existsSync(manifest)) continue;
    return pluginPackage(name, manifest);
  }
  return undefined;
}

/** The package of a package.json, where it is that of a plugin, under the name by which it is found. */
function pluginPackage(name: string, manifest: string): InstalledPackage | undefined {
  const { keywords, version } = readManifest(manifest);
  if (!Array.isArray(keywords) || !keywords.includes(KEYWORD)) return undefined;
  return { name, version: typeof version === 'string' ? version : '', manifest, isOwn: false };
}

function dependencyNames(manifest: string): string[] {
  const content = readManifest(manifest);
  return ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'].flatMap((field) =>
    Object.keys(content[field] ?? {}),
  );
}

function foldersUpward(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...foldersUpward(parent)];
}

/** Reads a package.json. One that is not there or cannot be read says nothing. */
export function readManifest(path: string): UnknownRecord {
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isRecord(content) ? content : {};
  } catch {
    return {};
  }
}
