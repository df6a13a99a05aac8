import { printable, type SchemaIssue } from '@virtio-platform/core';
import type { AnyPlugin } from './load-plugin.ts';
import { LocatedPluginError } from './plugin-error.ts';
import { runHook, runHookSync } from '../guard/run-hook.ts';
import { checkSchemaResult } from '../guard/checked-answer.ts';
import { optionsJsonSchema, schemaKeys } from '../schema/options-json-schema.ts';
import type { PluginUse } from '../schema/profile.ts';
import { translateIssues, type CheckedSource, type RawIssue } from '../source/translate-issues.ts';
import { isRecord } from '../source/unknown-value.ts';
import { renameOptions } from './renamed-options.ts';

/**
 * Checks the options of a plugin with the plugin's own schema, and returns what the schema made of them, frozen. Throws
 * {@link LocatedPluginError} `ERR_PLUGIN_OPTIONS` with every option that is wrong.
 */
export async function checkOptions(plugin: AnyPlugin, use: PluginUse, timeoutMs?: number): Promise<unknown> {
  const renamed = runHookSync(plugin.kind, use, 'renamedOptions', () => plugin.renamedOptions);
  const { options, warnings, sourcePath } = renameOptions(use, renamed);
  for (const warning of warnings) process.emitWarning(printable(warning), 'ProfileWarning');
  const validate = (): unknown => plugin.options['~standard'].validate(options);
  const result = checkSchemaResult(plugin.kind, use, await runHook(plugin.kind, use, 'options', validate, timeoutMs));
  if (result.issues === undefined) return deepFreeze(result.value);
  const schema = optionsJsonSchema(plugin.options);
  const source: CheckedSource = {
    prefix: [plugin.kind],
    valueAt: (path) => valueAt(options, path),
    placeOf: (path, part) => {
      const text = scalarText(part === 'key' ? path.at(-1) : valueAt(options, path));
      return { location: use.locate(sourcePath(path), part), text };
    },
    knownKeys: (path) => (schema === undefined ? [] : schemaKeys(schema, path)),
  };
  const issues = translateIssues(result.issues.map(rawIssue), source, 'ERR_PLUGIN_OPTIONS').map(({ issue }) => issue);
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
