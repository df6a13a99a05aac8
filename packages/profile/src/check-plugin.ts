import { PLUGIN_API_VERSION, type MachinePlugin, type PlatformPlugin } from '@virtio-platform/core';
import type { PluginProblem } from './located-plugin-error.ts';
import type { PluginKind } from './plugin-use.ts';
import { isRecord } from './unknown-record.ts';

/** Each kind of plugin with its contract. */
export interface PluginsByKind {
  readonly platform: PlatformPlugin;
  readonly machine: MachinePlugin;
}

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
    ['survey', (value) => value === undefined || isFunction(value), 'a function, or nothing'],
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
