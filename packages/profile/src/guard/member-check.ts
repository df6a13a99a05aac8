import { describeValue } from '@virtio-platform/core';
import { isRecord } from '../source/unknown-value.ts';
import type { PluginKind } from '../plugin/plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { runHookSync } from './run-hook.ts';
import { contractError } from './thrown-by-plugin.ts';

/** A member that an object of a plugin has to have: its name, a test of its value, and what it has to be. */
export type MemberCheck = readonly [name: string, isRight: (value: unknown) => boolean, what: string];

/** An object that a plugin gave, and the member of the contract that gave it. */
export interface GivenObject {
  readonly kind: PluginKind;
  readonly use: PluginUse;
  readonly hook: string;
}

/**
 * Checks the members of an object that a plugin gave. Throws `ERR_PLUGIN_CONTRACT` with all that are missing or wrong,
 * and `ERR_PLUGIN_HOOK` where reading one throws. Returns the object, as the type that the members make it.
 */
export function checkMembers<
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller names what the members make it
  T extends object,
>(given: GivenObject, value: unknown, members: readonly MemberCheck[]): T {
  const { kind, use, hook } = given;
  if (!isRecord(value)) throw contractError(kind, use, hook, `gave ${describeValue(value)}, not an object`);
  const wrong = members.flatMap(([name, isRight, what]) => {
    const member = runHookSync(kind, use, name, () => value[name]);
    return isRight(member) ? [] : [`${name} (${what}, not ${describeValue(member)})`];
  });
  if (wrong.length > 0) throw contractError(kind, use, hook, `gave an object with the wrong ${wrong.join(', ')}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
  return value as T;
}

/** Tells whether a member is a function. */
export function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

/** A member that need not be there. */
export function orAbsent(isRight: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => value === undefined || isRight(value);
}

/** Tells whether a member is a text with something in it. */
export function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** Tells whether a member is a whole number from 0 on. */
export function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Tells whether a member is true or false. */
export function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

/** Tells whether a member is a set of features, of any installed copy of the core. */
export function isFeatureSet(value: unknown): boolean {
  return isRecord(value) && typeof value['bits'] === 'bigint' && typeof value['has'] === 'function';
}

/** Tells whether a member is a map, of this realm or another. */
export function isMap(value: unknown): boolean {
  return value instanceof Map || Object.prototype.toString.call(value) === '[object Map]';
}

/** Tells whether a member is one of `values`. */
export function isOneOf(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}
