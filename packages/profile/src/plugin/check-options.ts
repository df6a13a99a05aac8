import {
  printable,
  type ErrorCode,
  type MachinePlugin,
  type OptionsSchema,
  type PlatformPlugin,
  type SchemaIssue,
} from '@virtio-platform/core';
import { LocatedPluginError } from './plugin-error.ts';
import { runHook, runHookSync } from '../guard/run-hook.ts';
import { checkSchemaResult } from '../guard/checked-answer.ts';
import { optionsJsonSchema, schemaKeys } from '../schema/options-json-schema.ts';
import { RESERVED_KEYS, type PluginKind } from './plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import {
  translateIssues,
  type CheckedSource,
  type RawIssue,
  type TranslatedIssue,
} from '../source/translate-issues.ts';
import type { Place } from '../source/profile-issue.ts';
import { isRecord } from '../source/unknown-value.ts';
import { renameOptions } from './renamed-options.ts';

/** Options as a profile has them, and where they stand. */
export interface GivenOptions {
  /** The plugin whose schema checks them, in messages. */
  readonly plugin: PluginKind;
  readonly use: PluginUse;
  readonly options: unknown;
  /** Where an option or its key stands, by its path below the section. */
  readonly placeOf: (path: readonly PropertyKey[], part: 'value' | 'key') => Place;
  /** The section of the profile. */
  readonly section: string;
  /** Keys of the section that are no options, which a misspelt option may mean. */
  readonly commonKeys: readonly string[];
}

/** What a schema made of options, or what is wrong with them. */
export type OptionsResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly TranslatedIssue[] };

/**
 * Checks options with a plugin's own schema. What the schema made of them is frozen. Throws {@link LocatedPluginError}
 * where the schema itself throws, or never settles.
 */
export async function validateOptions(
  { plugin, use, options, placeOf, section, commonKeys }: GivenOptions,
  schema: OptionsSchema<unknown>,
  code: ErrorCode,
  timeoutMs?: number,
): Promise<OptionsResult> {
  const validate = (): unknown => schema['~standard'].validate(options);
  const result = checkSchemaResult(plugin, use, await runHook(plugin, use, 'options', validate, timeoutMs));
  if (result.issues === undefined) return { value: deepFreeze(result.value) };
  const form = optionsJsonSchema(schema);
  const source: CheckedSource = {
    prefix: [section],
    valueAt: (path) => valueAt(options, path),
    placeOf,
    knownKeys: (path) => [
      ...(form === undefined ? [] : schemaKeys(form, path)),
      ...(path.length === 0 ? commonKeys : []),
    ],
  };
  return { issues: translateIssues(result.issues.map(rawIssue), source, code) };
}

/**
 * Checks the options of a plugin with the plugin's own schema, and returns what the schema made of them, frozen. Throws
 * {@link LocatedPluginError} `ERR_PLUGIN_OPTIONS` with every option that is wrong.
 */
export async function checkOptions(
  plugin: PlatformPlugin | MachinePlugin,
  use: PluginUse,
  timeoutMs?: number,
): Promise<unknown> {
  const renamed = runHookSync(plugin.kind, use, 'renamedOptions', () => plugin.renamedOptions);
  const { options, warnings, sourcePath } = renameOptions(use, renamed);
  for (const warning of warnings) process.emitWarning(printable(warning), 'ProfileWarning');
  const given: GivenOptions = {
    plugin: plugin.kind,
    use,
    options,
    placeOf: (path, part) => {
      const text = scalarText(part === 'key' ? path.at(-1) : valueAt(options, path));
      return { location: use.locate(sourcePath(path), part), text };
    },
    section: plugin.kind,
    commonKeys: RESERVED_KEYS[plugin.kind],
  };
  const result = await validateOptions(given, plugin.options, 'ERR_PLUGIN_OPTIONS', timeoutMs);
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(({ issue }) => issue);
  const message = issues.length === 1 ? 'an option is wrong' : `${issues.length} options are wrong`;
  const hint = '`virtio-platform schema` writes a JSON Schema with the options of every installed plugin';
  throw new LocatedPluginError(plugin.kind, use, { code: 'ERR_PLUGIN_OPTIONS', message, hint }, issues);
}

/** Paths of Standard Schema may wrap their keys in objects. */
function rawIssue(issue: SchemaIssue): RawIssue {
  const path = (issue.path ?? []).map((segment) => (typeof segment === 'object' ? segment.key : segment));
  return { ...issue, message: issue.message, path };
}

function valueAt(options: unknown, path: readonly PropertyKey[]): unknown {
  let value = options;
  for (const key of path) {
    if (!isRecord(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** What stands in the source, as far as its value tells. */
function scalarText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      return '';
  }
}

/** Freezes plain data. Anything else a schema may have made of it, such as a typed array, keeps its own rules. */
function deepFreeze(value: unknown): unknown {
  if (!isRecord(value) || Object.isFrozen(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
