import { realpathSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PluginError, type DeviceTypePlugin, type MachineDiscovery } from '@virtio-platform/core';
import { checkDiscovery } from '../guard/checked-answer.ts';
import { runHook } from '../guard/run-hook.ts';
import { importPlugin, type AnyPlugin } from './load-plugin.ts';
import { installedPackages, type InstalledPackage } from './installed-packages.ts';
import type { PluginProblem } from './plugin-error.ts';
import type { PluginKind } from './plugin-use.ts';
import { resolvePlugin } from './resolve-plugin.ts';
import type { PluginUse } from '../schema/profile.ts';
/** An installed plugin, or why it cannot be loaded. */
export interface InstalledPlugin {
  /** What profiles write to use it: the name of its package. */
  readonly use: string;
  readonly version: string;
  readonly kind: PluginKind | undefined;
  readonly plugin: AnyPlugin | undefined;
  /** `undefined` where `plugin` is not. */
  readonly error: PluginError | undefined;
  /**
   * Of a package under development the file that it is entered by, from its folder and with slashes: `dist/index.js`.
   * Its own profiles may name it by that path.
   */
  readonly entry: string | undefined;
}

/**
 * Loads the plugins among the dependencies of the packages that `bases`, such as a package.json, belong to. A profile
 * never needs this: it is for lists, suggestions and editors, and looks only at what is declared.
 */
export async function installedPlugins(bases: readonly string[]): Promise<InstalledPlugin[]> {
  return await Promise.all(installedPackages(bases).map(load));
}

async function load({ name: use, version, manifest, isOwn }: InstalledPackage): Promise<InstalledPlugin> {
  const failed = ({ code, message, hint, cause }: PluginProblem): InstalledPlugin => {
    const error = new PluginError(code, use, message, { hint, cause });
    return { use, version, kind: undefined, plugin: undefined, error, entry: undefined };
  };
  const resolution = resolvePlugin([dirname(manifest)], manifest, {});
  if (resolution.url === undefined) {
    const { reason: message, cause } = resolution;
    return failed({ code: 'ERR_PLUGIN_NOT_FOUND', message, hint: 'build the package, or install it again', cause });
  }
  const imported = await importPlugin(resolution.url);
  if ('problem' in imported) return failed(imported.problem);
  const { plugin } = imported;
  const path = relative(realpathSync(dirname(manifest)), fileURLToPath(resolution.url))
    .split(sep)
    .join('/');
  const entry = isOwn && !path.startsWith('../') ? path : undefined;
  return { use, version, kind: plugin.kind, plugin, error: undefined, entry };
}

/** The device types among installed plugins. */
export async function installedDeviceTypes(bases: readonly string[]): Promise<readonly DeviceTypePlugin[]> {
  const plugins = await installedPlugins(bases);
  return plugins.flatMap(({ plugin }) => (plugin?.kind === 'device' ? [plugin] : []));
}

/**
 * Has a machine plugin look for devices on this computer; `undefined` for one that does not, and for every other
 * plugin. Throws what has a code, and `ERR_PLUGIN_HOOK` for anything else.
 */
export async function discoverMachine({ use, plugin }: InstalledPlugin): Promise<MachineDiscovery | undefined> {
  if (plugin?.kind !== 'machine' || plugin.discover === undefined) return undefined;
  const discover = plugin.discover.bind(plugin);
  const installed = installedUse(use);
  return checkDiscovery(installed, await runHook('machine', installed, 'discover', () => discover()));
}

/** The use of a plugin that no profile names: the place is its package. */
function installedUse(use: string): PluginUse {
  const location = { file: join('node_modules', use, 'package.json'), line: 1, column: 1 };
  return { use, options: {}, memory: undefined, location, locate: () => location };
}
