import { isAbsolute } from 'node:path';
import {
  describeValue,
  exitCallOf,
  messageOf,
  PLUGIN_API_VERSION,
  type DeviceTypePlugin,
  type MachinePlugin,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { errorCode, isRecord } from '../source/unknown-value.ts';
import { awaitPlugin, PLUGIN_TIMEOUT_MS, UnsettledError } from '../guard/await-plugin.ts';
import { deviceTypeProblem } from './device-type-members.ts';
import { installedPackages } from './installed-packages.ts';
import { LocatedPluginError, type PluginProblem } from './plugin-error.ts';
import type { PluginKind } from './plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { resolutionBases, resolvePlugin, specifiersOf, type ResolutionOptions } from './resolve-plugin.ts';
import { closest } from '../source/suggestion.ts';
/** A plugin with the module that it is the default export of. */
export interface PluginModule<Kind extends PluginKind> {
  readonly plugin: PluginsByKind[Kind];
  /** URL. */
  readonly module: string;
}

/**
 * Loads the plugin that a profile names, and checks that it is one. Throws {@link LocatedPluginError}
 * `ERR_PLUGIN_NOT_FOUND`, `ERR_PLUGIN_OUTSIDE`, `ERR_PLUGIN_INVALID` or `ERR_PLUGIN_API_VERSION`.
 */
export async function loadPlugin<Kind extends PluginKind>(
  use: PluginUse,
  kind: Kind,
  options: ResolutionOptions = {},
): Promise<PluginsByKind[Kind]> {
  const { plugin } = await loadPluginModule(use, kind, options);
  return plugin;
}

/** As {@link loadPlugin}, with the URL of the module. */
export async function loadPluginModule<Kind extends PluginKind>(
  use: PluginUse,
  kind: Kind,
  options: ResolutionOptions = {},
): Promise<PluginModule<Kind>> {
  if (options.onlyInstalled === true && isAbsolute(use.use)) throw outsideError(use, kind);
  const specifiers = specifiersOf(use);
  const resolution = resolvePlugin(specifiers, use.location.file, options);
  if (resolution.url === undefined) {
    const isOutside =
      options.onlyInstalled === true && resolvePlugin(specifiers, use.location.file, {}).url !== undefined;
    if (isOutside) throw outsideError(use, kind);
    const { reason, isInstalled, cause } = resolution;
    const suggestion = isInstalled ? undefined : similarPackage(use, kind, options);
    const hint = notFoundHint(specifiers[0] ?? use.use, isInstalled);
    throw new LocatedPluginError(kind, use, { code: 'ERR_PLUGIN_NOT_FOUND', message: reason, hint, suggestion, cause });
  }
  const imported = await importPlugin(resolution.url, kind, options.pluginTimeoutMs);
  if ('problem' in imported) throw new LocatedPluginError(kind, use, imported.problem);
  return { plugin: imported.plugin, module: resolution.url };
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
  timeoutMs: number = PLUGIN_TIMEOUT_MS,
): Promise<{ readonly plugin: PluginsByKind[Kind] } | { readonly problem: PluginProblem }> {
  let module: unknown;
  try {
    module = await awaitPlugin(import(/* @vite-ignore */ url), timeoutMs);
  } catch (cause) {
    return { problem: loadingProblem(cause) };
  }
  try {
    const plugin = pluginSnapshot(defaultExport(module));
    const problem = pluginProblem(plugin, kind);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its kind and its members were just checked
    return problem === undefined ? { plugin: plugin as PluginsByKind[Kind] } : { problem };
  } catch (cause) {
    return { problem: { ...invalid(`looking at its default export throws: ${messageOf(cause)}`), cause } };
  }
}

/** The members that a plugin may have. */
const KNOWN_MEMBERS = [
  'kind',
  'name',
  'apiVersion',
  'options',
  'renamedOptions',
  'simulatedOptions',
  'needs',
  'needsWith',
  'provides',
  'simulate',
  'missing',
  'programs',
  'discover',
  'facilityProblem',
  'simulatedAs',
  'memoryProblem',
  'addressingProblem',
  'memoryRange',
  'transport',
  'needsRequesterId',
  'refusesExec',
  'register',
  'id',
  'features',
  'paths',
  'writes',
  'config',
  'driver',
  'workloads',
  'model',
  'check',
  'image',
  'qemu',
  'vhostUser',
  'cases',
  'checkRequest',
] as const;

/** Reads each member of a plugin once: a member that is computed may throw, or be another one the next time. */
function pluginSnapshot(exported: unknown): unknown {
  if (!isRecord(exported)) return exported;
  if (exported instanceof Promise) return exported;
  const members = KNOWN_MEMBERS.flatMap((name) => {
    const value = exported[name];
    if (value === undefined) return [];
    return [[name, typeof value === 'function' ? memberOf(exported, value) : copyOf(value)] as const];
  });
  return Object.fromEntries(members);
}

/** A method of a plugin, which may use `this`. */
function memberOf(plugin: object, method: CallableFunction): unknown {
  return (...values: readonly unknown[]): unknown => Reflect.apply(method, plugin, values);
}

function copyOf(value: unknown): unknown {
  return Array.isArray(value) ? value.slice() : value;
}

/** The default export of a module, also where that was compiled to CommonJS. */
function defaultExport(module: unknown): unknown {
  const exported = isRecord(module) ? module['default'] : undefined;
  const isCompiled = isRecord(exported) && exported['__esModule'] === true;
  return isCompiled ? exported['default'] : exported;
}

function loadingProblem(cause: unknown): PluginProblem {
  if (cause instanceof UnsettledError) {
    return {
      code: 'ERR_PLUGIN_TIMEOUT',
      message: `loading it ${cause.message}`,
      hint: 'a top-level `await` of the module, or of one that it imports, waits for what does not come',
      cause,
    };
  }
  const call = exitCallOf(cause);
  if (call !== undefined) {
    return {
      code: 'ERR_PLUGIN_EXIT',
      message: `it called ${call} while it was loaded, which would end the command`,
      hint: 'the default export of a plugin is a description: loading it does nothing else',
      cause,
    };
  }
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
  readonly device: DeviceTypePlugin;
}

/** A plugin of any kind. */
export type AnyPlugin = PluginsByKind[PluginKind];

const HINT =
  'the default export of a plugin is made with definePlatformPlugin, defineMachinePlugin or defineDeviceType';

/**
 * Tells why `value`, the default export of a module, is no plugin of this kind, or of any kind where none is asked for;
 * `undefined` when it is one.
 */
export function pluginProblem(value: unknown, kind: PluginKind | undefined): PluginProblem | undefined {
  if (value instanceof Promise)
    return invalid('its default export is a Promise of a plugin: export what it resolves to');
  if (!isRecord(value)) return invalid(`its default export is no plugin: it is ${describeValue(value)}`);
  const { kind: own } = value;
  if (own !== 'platform' && own !== 'machine' && own !== 'device') {
    return invalid('its default export has no `kind`, which is platform, machine or device');
  }
  if (kind !== undefined && own !== kind) return invalid(`it is a ${own} plugin, not a ${kind} plugin`);
  // Before the rest: another version may have another form.
  if (typeof value['apiVersion'] === 'number' && value['apiVersion'] !== PLUGIN_API_VERSION) {
    return {
      code: 'ERR_PLUGIN_API_VERSION',
      message: `it is written for version ${value['apiVersion']} of the plugin contract; this is version ${PLUGIN_API_VERSION}`,
      hint: 'install the release of the plugin, or of virtio-platform, that has the version of the other',
    };
  }
  const lacking = MEMBERS[own].filter(([member, isRight]) => !isRight(value[member]));
  if (lacking.length === 0) {
    const contradiction = own === 'device' ? deviceTypeProblem(value) : undefined;
    return contradiction === undefined ? undefined : invalid(`its ${contradiction}`);
  }
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
];

/** What the device half of a type may write. */
const WRITES: readonly unknown[] = [undefined, 'buffers', 'memory'];

const REGISTER: Member = ['register', isFunction, 'a function'];

const MEMBERS: Readonly<Record<PluginKind, readonly Member[]>> = {
  platform: [
    ...SHARED,
    REGISTER,
    ['needs', isTokenList, 'a list of facility tokens'],
    ['simulate', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['simulatedOptions', (value) => value === undefined || isTextList(value), 'a list of options, or nothing'],
    ['needsWith', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['needsRequesterId', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['refusesExec', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['addressingProblem', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
  ],
  machine: [
    ...SHARED,
    REGISTER,
    ['provides', (value) => value === 'simulated' || isTokenList(value), 'a list of facility tokens, or `simulated`'],
    ['missing', isFunction, 'a function'],
    ['programs', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['discover', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['facilityProblem', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['simulatedAs', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['memoryProblem', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['memoryRange', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['transport', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
  ],
  device: [
    ...SHARED,
    ['id', (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 63, 'a number, 1 to 63'],
    ['features', isFeatureTable, 'a source, and rows with bit and name'],
    ['config', isConfigTable, 'fields with offset and width'],
    ['driver', isDeviceDriver, 'features, queues and open'],
    ['workloads', isWorkloads, 'at least one, each with summary, options, bytes, recovers and open'],
    ['model', isFunction, 'a function'],
    ['writes', (value) => WRITES.includes(value), 'buffers, memory, or nothing'],
    ['paths', (value) => value === undefined || isTextList(value), 'a list of settings, or nothing'],
    ['check', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['checkRequest', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['image', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
    ['qemu', (value) => value === undefined || hasFunctions(value, ['arguments']), 'arguments, or nothing'],
    ['vhostUser', (value) => value === undefined || isRecord(value), 'a map, or nothing'],
  ],
};

const isTextList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((entry) => typeof entry === 'string');

function hasFunctions(value: unknown, names: readonly string[]): boolean {
  return isRecord(value) && names.every((name) => isFunction(value[name]));
}

function isFeatureTable(value: unknown): boolean {
  if (!isRecord(value) || typeof value['source'] !== 'string' || !Array.isArray(value['rows'])) return false;
  return value['rows'].every(
    (row: unknown) => isRecord(row) && Number.isInteger(row['bit']) && typeof row['name'] === 'string',
  );
}

function isConfigTable(value: unknown): boolean {
  if (!isRecord(value)) return false;
  return Object.values(value).every(
    (field) => isRecord(field) && isSize(field['offset'], 0) && isSize(field['width'], 1),
  );
}

function isSize(value: unknown, least: number): boolean {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= 4096;
}

function isDeviceDriver(value: unknown): boolean {
  return hasFunctions(value, ['queues', 'open']) && isRecord(value) && isRecord(value['features']);
}

function isWorkloads(value: unknown): boolean {
  if (!isRecord(value) || Object.keys(value).length === 0) return false;
  return Object.values(value).every(
    (type) =>
      isRecord(type) &&
      hasFunctions(type, ['bytes', 'open']) &&
      isStandardSchema(type['options']) &&
      (type['paths'] === undefined || isTextList(type['paths'])) &&
      typeof type['summary'] === 'string' &&
      typeof type['recovers'] === 'boolean',
  );
}

/** Schemas are objects, or functions in some libraries. */
function isStandardSchema(value: unknown): boolean {
  const standard = isRecord(value) || typeof value === 'function' ? Reflect.get(value, '~standard') : undefined;
  return isRecord(standard) && typeof standard['validate'] === 'function';
}

function invalid(message: string): PluginProblem {
  return { code: 'ERR_PLUGIN_INVALID', message, hint: HINT };
}
