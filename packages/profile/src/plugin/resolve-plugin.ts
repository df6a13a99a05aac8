import { existsSync, statSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { messageOf } from '@virtio-platform/core';
import type { PluginUse } from '../schema/profile.ts';
import { readManifest } from './installed-packages.ts';

/** Which plugins a profile may use, and where they are looked for besides the profile that names them. */
export interface ResolutionOptions {
  /** Files, such as a package.json, whose `node_modules` are looked into after those of the profile. */
  readonly resolveFrom?: readonly string[];
  /** Whether only plugins that are installed with the command may be used: no path, no package of the profile's own. */
  readonly onlyInstalled?: boolean;
  /** Whether only machines that start no program may be used. */
  readonly noPrograms?: boolean;
  /** Milliseconds that a plugin has for each of its steps; by default a minute, and ten for the boot of a machine. */
  readonly pluginTimeoutMs?: number | undefined;
}

/** A module that was found, or why it was not. */
export type Resolution = Found | NotFound;

interface Found {
  readonly url: string;
}

interface NotFound {
  readonly url: undefined;
  readonly reason: string;
  /** The package is there and cannot be entered. */
  readonly isInstalled: boolean;
  readonly cause?: unknown;
}

/** The short name of a device type. */
const SHORT_NAME = /^[a-z0-9][a-z0-9-]*$/;

/** What stands before the short name of a device type in the name of its package. */
const SHORT_PREFIXES = ['@virtio-platform/device-', 'virtio-platform-device-'] as const;

/** The packages, or the path, that a plugin may be found under: two packages for the short name of a device type. */
export function specifiersOf({ use, isShort }: Pick<PluginUse, 'use' | 'isShort'>): readonly string[] {
  if (isShort !== true) return [use];
  return SHORT_NAME.test(use) ? SHORT_PREFIXES.map((prefix) => `${prefix}${use}`) : [];
}

/** The short name of the device type in a package; `undefined` where a profile can name it with `use` only. */
export function shortNameOf(packageName: string): string | undefined {
  const prefix = SHORT_PREFIXES.find((start) => packageName.startsWith(start));
  const name = prefix === undefined ? undefined : packageName.slice(prefix.length);
  return name !== undefined && SHORT_NAME.test(name) ? name : undefined;
}

/**
 * Finds the module of a plugin, by the first of `specifiers` that leads to one: from the file that names it, then from
 * the places of `options`, from the command that runs and from here. Loads nothing.
 */
export function resolvePlugin(specifiers: readonly string[], file: string, options: ResolutionOptions): Resolution {
  const failures: NotFound[] = [];
  for (const specifier of specifiers) {
    for (const base of isAbsolute(specifier) ? [specifier] : resolutionBases(file, options)) {
      const resolution = isAbsolute(specifier) ? resolvePath(specifier) : resolveFrom(base, specifier);
      if (resolution.url !== undefined) return resolution;
      failures.push(resolution);
    }
  }
  return failures.find(({ isInstalled }) => isInstalled) ?? failures[0] ?? NOT_INSTALLED;
}

const NOT_INSTALLED: NotFound = { url: undefined, reason: 'it is not installed', isInstalled: false };

/** The files that packages are resolved from, in order. `file` is the profile. */
export function resolutionBases(file: string, { resolveFrom = [], onlyInstalled }: ResolutionOptions): string[] {
  const command = process.argv[1];
  const own = fileURLToPath(import.meta.url);
  const profile = onlyInstalled === true ? [] : [file];
  return [...profile, ...resolveFrom, ...(command === undefined ? [] : [command]), own].map((base) => resolve(base));
}

function resolvePath(path: string): Resolution {
  if (!existsSync(path)) return { url: undefined, reason: 'it does not exist', isInstalled: false };
  if (!statSync(path).isDirectory()) return { url: pathToFileURL(path).href };
  const manifest = join(path, 'package.json');
  // By its name a package is entered through its `exports`; by its path it is not.
  const name = exportingName(manifest);
  const resolution = resolveFrom(manifest, name ?? path);
  if (resolution.url !== undefined || name !== undefined) return resolution;
  const index = join(path, 'index.ts');
  return existsSync(index) ? { url: pathToFileURL(index).href } : resolution;
}

function resolveFrom(base: string, specifier: string): Resolution {
  if (isBuiltin(specifier)) return { url: undefined, reason: 'it is a module of Node', isInstalled: false };
  try {
    return { url: pathToFileURL(createRequire(pathToFileURL(base)).resolve(specifier)).href };
  } catch (error) {
    const [message = ''] = messageOf(error).split('\n', 1);
    // Node names what it looked for: the package, or the file that the package.json leads to.
    const isInstalled = message !== `Cannot find module '${specifier}'`;
    const absent = isAbsolute(specifier) ? 'the folder has no entry' : 'it is not installed';
    const reason = isInstalled ? message : absent;
    return { url: undefined, reason, isInstalled, cause: error };
  }
}

/** The name of a package that says with `exports` how it is entered. */
function exportingName(manifest: string): string | undefined {
  const { name, exports } = readManifest(manifest);
  return typeof name === 'string' && exports !== undefined ? name : undefined;
}
