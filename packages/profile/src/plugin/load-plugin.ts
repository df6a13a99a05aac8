import { isAbsolute } from 'node:path';
import { messageOf, PLUGIN_API_VERSION, type MachinePlugin, type PlatformPlugin } from '@virtio-platform/core';
import { errorCode, isRecord } from '../source/unknown-value.ts';
import { installedPackages } from './installed-packages.ts';
import { LocatedPluginError, type PluginProblem } from './plugin-error.ts';
import type { PluginKind } from './plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { resolutionBases, resolvePlugin, type ResolutionOptions } from './resolve-plugin.ts';
import { closest } from '../source/suggestion.ts';
/**
 * Loads the plugin that a profile names, and checks that it is one. Throws {@link LocatedPluginError}
 * `ERR_PLUGIN_NOT_FOUND`, `ERR_PLUGIN_OUTSIDE`, `ERR_PLUGIN_INVALID` or `ERR_PLUGIN_API_VERSION`.
 */
export async function loadPlugin<Kind extends PluginKind>(
  use: PluginUse,
  kind: Kind,
  options: ResolutionOptions = {},
): Promise<PluginsByKind[Kind]> {
  if (options.onlyInstalled === true && isAbsolute(use.use)) throw outsideError(use, kind);
  const resolution = resolvePlugin(use.use, use.location.file, options);
  if (resolution.url === undefined) {
    const isOutside = options.onlyInstalled === true && resolvePlugin(use.use, use.location.file, {}).url !== undefined;
    if (isOutside) throw outsideError(use, kind);
    const { reason, isInstalled, cause } = resolution;
    const suggestion = isInstalled ? undefined : similarPackage(use, kind, options);
    const hint = notFoundHint(use.use, isInstalled);
    throw new LocatedPluginError(kind, use, { code: 'ERR_PLUGIN_NOT_FOUND', message: reason, hint, suggestion, cause });
  }
  const plugin = await importPlugin(resolution.url, kind);
  if ('problem' in plugin) throw new LocatedPluginError(kind, use, plugin.problem);
  return plugin.plugin;
}

function outsideError(use: PluginUse, kind: PluginKind): LocatedPluginError {
  return new LocatedPluginError(kind, use, {
    code: 'ERR_PLUGIN_OUTSIDE',
    message: 'it is not installed with the command, and --no-plugins-outside allows no other',
    hint: 'read the plugin first: it runs as a program of yours; then install it, or leave the option out',
  });
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
    message: `loading it failed: ${messageOf(cause)}`,
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

/** Each kind of plugin with its contract. */
export interface PluginsByKind {
  readonly platform: PlatformPlugin;
  readonly machine: MachinePlugin;
}

/** A plugin of any kind. */
export type AnyPlugin = PluginsByKind[PluginKind];

const HINT = 'the default export of a plugin is made with definePlatformPlugin or defineMachinePlugin';

/**
 * Tells why `value`, the default export of a module, is no plugin of this kind, or of any kind where none is asked for;
 * `undefined` when it is one.
 */
export function pluginProblem(value: unknown, kind: PluginKind | undefined): PluginProblem | undefined {
  if (!isRecord(value)) return invalid('its default export is no plugin');
  if (value['kind'] !== 'platform' && value['kind'] !== 'machine') {
    return invalid('its default export has no `kind`, which is platform or machine');
  }
  if (kind !== undefined && value['kind'] !== kind)
    return invalid(`it is a ${value['kind']} plugin, not a ${kind} plugin`);
  // Before the rest: another version may have another form.
  if (typeof value['apiVersion'] === 'number' && value['apiVersion'] !== PLUGIN_API_VERSION) {
    return {
      code: 'ERR_PLUGIN_API_VERSION',
      message: `it is written for version ${value['apiVersion']} of the plugin contract; this is version ${PLUGIN_API_VERSION}`,
      hint: 'install the release of the plugin, or of virtio-platform, that has the version of the other',
    };
  }
  const lacking = MEMBERS[value['kind']].filter(([member, isRight]) => !isRight(value[member]));
  if (lacking.length === 0) return undefined;
  return invalid(`its default export lacks: ${lacking.map(([member, , what]) => `${member} (${what})`).join(', ')}`);
}

type Member = readonly [name: string, isRight: (value: unknown) => boolean, what: string];

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isTokenList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((token) => typeof token === 'symbol');

const SHARED: readonly Member[] = [
  ['name', (value) => typeof value === 'string' && value !== '', 'text'],
  ['apiVersion', (value) => typeof value === 'number', 'PLUGIN_API_VERSION'],
  ['options', isStandardSchema, 'a Standard Schema'],
  ['register', isFunction, 'a function'],
];

const MEMBERS: Readonly<Record<PluginKind, readonly Member[]>> = {
  platform: [
    ...SHARED,
    ['needs', isTokenList, 'a list of facility tokens'],
    ['simulate', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
  ],
  machine: [
    ...SHARED,
    ['provides', (value) => value === 'simulated' || isTokenList(value), 'a list of facility tokens, or `simulated`'],
    ['missing', isFunction, 'a function'],
    ['programs', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['discover', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
  ],
};

/** Schemas are objects, or functions in some libraries. */
function isStandardSchema(value: unknown): boolean {
  const standard = isRecord(value) || typeof value === 'function' ? Reflect.get(value, '~standard') : undefined;
  return isRecord(standard) && typeof standard['validate'] === 'function';
}

function invalid(message: string): PluginProblem {
  return { code: 'ERR_PLUGIN_INVALID', message, hint: HINT };
}
