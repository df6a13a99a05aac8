import { dirname } from 'node:path';
import { PluginError, isCodedError, messageOf, type MachineDiscovery } from '@virtio-platform/core';
import { importPlugin, type AnyPlugin } from './load-plugin.ts';
import { installedPackages, type InstalledPackage } from './installed-packages.ts';
import type { PluginProblem } from './plugin-error.ts';
import type { PluginKind } from './plugin-use.ts';
import { resolvePlugin } from './resolve-plugin.ts';
/** An installed plugin, or why it cannot be loaded. */
export interface InstalledPlugin {
  /** What profiles write to use it: the name of its package. */
  readonly use: string;
  readonly version: string;
  readonly kind: PluginKind | undefined;
  readonly plugin: AnyPlugin | undefined;
  /** `undefined` where `plugin` is not. */
  readonly error: PluginError | undefined;
}

/**
 * Loads the plugins among the dependencies of the packages that `bases`, such as a package.json, belong to. A profile
 * never needs this: it is for lists, suggestions and editors, and looks only at what is declared.
 */
export async function installedPlugins(bases: readonly string[]): Promise<InstalledPlugin[]> {
  return await Promise.all(installedPackages(bases).map(load));
}

async function load({ name: use, version, manifest }: InstalledPackage): Promise<InstalledPlugin> {
  const failed = ({ code, message, hint, cause }: PluginProblem): InstalledPlugin => {
    const error = new PluginError(code, use, message, { hint, cause });
    return { use, version, kind: undefined, plugin: undefined, error };
  };
  const resolution = resolvePlugin(dirname(manifest), manifest, {});
  if (resolution.url === undefined) {
    const { reason: message, cause } = resolution;
    return failed({ code: 'ERR_PLUGIN_NOT_FOUND', message, hint: 'build the package, or install it again', cause });
  }
  const imported = await importPlugin(resolution.url);
  if ('problem' in imported) return failed(imported.problem);
  return { use, version, kind: imported.plugin.kind, plugin: imported.plugin, error: undefined };
}

/**
 * Has a machine plugin look for devices on this computer; `undefined` for one that does not, and for every other
 * plugin. Throws what has a code, and `ERR_PLUGIN_HOOK` for anything else.
 */
export async function discoverMachine({ use, plugin }: InstalledPlugin): Promise<MachineDiscovery | undefined> {
  if (plugin?.kind !== 'machine' || plugin.discover === undefined) return undefined;
  try {
    return await plugin.discover();
  } catch (cause) {
    if (isCodedError(cause)) throw cause;
    throw new PluginError('ERR_PLUGIN_HOOK', use, `its \`discover\` threw: ${messageOf(cause)}`, {
      hint: 'this is a mistake in the plugin; the cause has the stack',
      cause,
    });
  }
}
