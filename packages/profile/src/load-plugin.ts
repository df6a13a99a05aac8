import { isAbsolute } from 'node:path';
import { pluginProblem, type PluginsByKind } from './check-plugin.ts';
import { errorCode, errorMessage } from './error-code.ts';
import { installedPackages } from './installed-packages.ts';
import { LocatedPluginError, type PluginProblem } from './located-plugin-error.ts';
import type { PluginKind } from './plugin-use.ts';
import type { PluginUse } from './profile.ts';
import { resolutionBases, resolvePlugin, type ResolutionOptions } from './resolve-plugin.ts';
import { closest } from './suggestion.ts';
import { isRecord } from './unknown-record.ts';

/**
 * Loads the plugin that a profile names, and checks that it is one. Throws {@link LocatedPluginError} `ERR_PLUGIN_NOT_FOUND`,
 * `ERR_PLUGIN_INVALID` or `ERR_PLUGIN_API_VERSION`.
 */
export async function loadPlugin<Kind extends PluginKind>(
  use: PluginUse,
  kind: Kind,
  options: ResolutionOptions = {},
): Promise<PluginsByKind[Kind]> {
  const resolution = resolvePlugin(use.use, use.location.file, options);
  if (resolution.url === undefined) {
    const { reason, isInstalled, cause } = resolution;
    const suggestion = isInstalled ? undefined : similarPackage(use, kind, options);
    const hint = notFoundHint(use.use, isInstalled);
    throw new LocatedPluginError(kind, use, { code: 'ERR_PLUGIN_NOT_FOUND', message: reason, hint, suggestion, cause });
  }
  const plugin = await importPlugin(resolution.url, kind);
  if ('problem' in plugin) throw new LocatedPluginError(kind, use, plugin.problem);
  return plugin.plugin;
}

/** Imports the module of a plugin, of any kind where none is asked for, and tells why it is none. */
export async function importPlugin<Kind extends PluginKind>(
  url: string,
  kind?: Kind,
): Promise<{ readonly plugin: PluginsByKind[Kind] } | { readonly problem: PluginProblem }> {
  let plugin: unknown;
  try {
    const module: unknown = await import(/* @vite-ignore */ url);
    plugin = isRecord(module) ? module['default'] : undefined;
  } catch (cause) {
    return { problem: loadingProblem(cause) };
  }
  const problem = pluginProblem(plugin, kind);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its kind and its members were just checked
  return problem === undefined ? { plugin: plugin as PluginsByKind[Kind] } : { problem };
}

function loadingProblem(cause: unknown): PluginProblem {
  const isTypeScript = errorCode(cause) === 'ERR_UNKNOWN_FILE_EXTENSION';
  return {
    code: 'ERR_PLUGIN_INVALID',
    message: `loading it failed: ${errorMessage(cause)}`,
    hint: isTypeScript
      ? 'this Node does not run TypeScript: name the built JavaScript file, or run with --import tsx'
      : 'the module itself is at fault, or something it imports is not installed',
    cause,
  };
}

function notFoundHint(use: string, isInstalled: boolean): string {
  if (isInstalled)
    return 'its package.json has to lead to a file that is there (build it?), under the condition `default` and not only `import`';
  if (isAbsolute(use)) return 'paths are relative to the file in which they stand';
  return `npm install ${use}; a path starts with ./ or ../`;
}

/** An installed plugin of nearly this name, with or without its scope and kind: `pseries`. */
function similarPackage(
  { use, location }: PluginUse,
  kind: PluginKind,
  options: ResolutionOptions,
): string | undefined {
  if (isAbsolute(use)) return undefined;
  const forms = installedPackages(resolutionBases(location.file, options)).flatMap(({ name }) => {
    const unscoped = name.replace(/^@[^/]*\//, '');
    return [name, unscoped, unscoped.replace(`${kind}-`, '')].map((form) => [form, name] as const);
  });
  const similar = closest(
    use,
    forms.map(([form]) => form),
  );
  return forms.find(([form]) => form === similar)?.[1];
}
