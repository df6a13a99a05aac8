import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { PLUGIN_API_VERSION, type OptionsSchema, type SchemaIssue } from '@virtio-platform/core';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';

/** What plugins of every kind state about themselves. */
export interface AnyPlugin {
  readonly kind: string;
  readonly name: string;
  readonly apiVersion: number;
  readonly options: OptionsSchema<unknown>;
  readonly renamedOptions?: Readonly<Record<string, string>> | undefined;
}

/** A plugin of any kind under test, with its options. */
export interface PluginSubject {
  readonly plugin: AnyPlugin;
  /** The options as a profile would give them, before the schema. */
  readonly options: unknown;
}

/** A name that is an option of no plugin. */
const UNKNOWN = 'noSuchOptionAnywhere';
/** Values that an option of any type refuses some of: what tells a known name from an unknown one. */
const PROBES: readonly unknown[] = [Symbol('probe'), null, -1.5, 'no such value', { [UNKNOWN]: 1 }, [[]]];

/** The duties of the static side of a plugin, the same for every kind of plugin. */
export function pluginChecks(kind: string): readonly ContractCheck<PluginSubject>[] {
  return [
    {
      name: 'says what it is',
      duty: 'a plugin: kind, a short name as reports have it, the API version that it was written for, an options schema',
      advice: `make it with define...Plugin: kind ${kind}, apiVersion PLUGIN_API_VERSION, a name like my-board`,
      run({ plugin }) {
        assert.equal(plugin.kind, kind);
        assert.match(plugin.name, /^[a-z][a-z0-9-]*$/, 'the name has small letters, digits and hyphens');
        assert.equal(plugin.apiVersion, PLUGIN_API_VERSION, 'apiVersion');
        assert.equal(typeof plugin.options?.['~standard']?.validate, 'function', 'options is a Standard Schema');
      },
    },
    {
      name: 'checks its options with a Standard Schema that refuses what it does not know',
      duty: 'OptionsSchema: Standard Schema version 1; an unknown key in a profile is an error',
      advice: 'return issues, and no value, for what is no object and for each unknown key (zod: strictObject)',
      async run({ plugin, options }) {
        const { version, vendor, validate } = plugin.options['~standard'];
        assert.equal(version, 1);
        assert.ok(vendor.length > 0, 'the schema has a vendor');
        const { issues: wrongly } = await validate(options);
        assert.equal(wrongly, undefined, `the given options are accepted, not refused: ${textOf(wrongly)}`);
        for (const wrong of [42, 'text', null, [], { 'no such option': true }]) {
          const { issues } = await validate(wrong);
          assert.ok(issues !== undefined && issues.length > 0, `${JSON.stringify(wrong)} is refused`);
        }
      },
    },
    {
      name: 'names the option that is wrong',
      duty: 'SchemaIssue: a message, and the keys from the options object down to what is wrong',
      advice: 'put the key into the path or the message of each issue: the error in the profile points at it',
      async run({ plugin, options }) {
        const issues = await issuesOf(plugin, withOption(options, UNKNOWN, true));
        assert.ok(issues.length > 0, `the unknown option ${UNKNOWN} is refused`);
        for (const { message } of issues) assert.ok(typeof message === 'string' && message.length > 0, 'a message');
        assert.ok(textOf(issues).includes(UNKNOWN), `an issue names ${UNKNOWN}: ${textOf(issues)}`);
      },
    },
    {
      name: 'checks the same options to the same value, and changes nothing of what it is given',
      duty: 'OptionsSchema.validate: the value, or the issues; a profile is checked more than once',
      advice: 'return a new object with the defaults filled in, and keep nothing between two calls',
      async run({ plugin, options }) {
        const { validate } = plugin.options['~standard'];
        const given = deepFreeze(structuredClone(options));
        const [one, other] = [await validate(given), await validate(given)];
        assert.deepEqual(one, other, 'two checks of the same options');
        assert.equal(one.issues, undefined, `frozen options are accepted: ${textOf(one.issues)}`);
        assert.deepEqual(given, options, 'the given options are unchanged');
        // As a profile would give them once more: what a default is does not change with use.
        const expected = inspect(other, { depth: Infinity });
        const mutable = 'value' in one && isRecord(one.value) ? one.value : {};
        for (const key of Object.keys(mutable)) Reflect.set(mutable, key, undefined);
        assert.equal(
          inspect(await validate(given), { depth: Infinity }),
          expected,
          'a change to one checked value changes no default of the next',
        );
      },
    },
    {
      name: 'renames options to names that its schema knows',
      duty: 'renamedOptions: old name to new name, dotted below a section',
      advice: 'name an option that the schema has, and take the old name out of the schema',
      async run({ plugin, options }) {
        const renamed = Object.entries(plugin.renamedOptions ?? {});
        if (renamed.length === 0) skipCheck('the plugin renames no option');
        for (const [from, to] of renamed) {
          assert.ok(
            await isKnownOption(plugin, options, to),
            `${from} is renamed to ${to}, which the schema does not know`,
          );
          assert.ok(
            !(await isKnownOption(plugin, options, from)),
            `${from} is renamed, and still an option of the schema`,
          );
        }
      },
    },
  ];
}

/** Whether the schema of a plugin answers differently to this name than to one that is no option. */
export async function isKnownOption(plugin: AnyPlugin, options: unknown, name: string): Promise<boolean> {
  const section = name.split('.').slice(0, -1);
  const control = [...section, UNKNOWN].join('.');
  for (const value of PROBES) {
    const [seen, unknown] = [
      textOf(await issuesOf(plugin, withOption(options, name, value))),
      textOf(await issuesOf(plugin, withOption(options, control, value))),
    ];
    const last = name.split('.').at(-1)!;
    if (seen.replaceAll(last, UNKNOWN) !== unknown) return true;
  }
  return false;
}

async function issuesOf(plugin: AnyPlugin, options: unknown): Promise<readonly SchemaIssue[]> {
  return (await plugin.options['~standard'].validate(options)).issues ?? [];
}

/** A copy of the options with one more, below its section; in each element where the section is a list. */
function withOption(options: unknown, name: string, value: unknown): unknown {
  if (Array.isArray(options)) return options.map((item) => withOption(item, name, value));
  const [key = '', ...rest] = name.split('.');
  const copy = isRecord(options) ? { ...options } : {};
  copy[key] = rest.length === 0 ? value : withOption(copy[key], rest.join('.'), value);
  return copy;
}

function textOf(issues: readonly SchemaIssue[] = []): string {
  return issues.map(issueText).join('; ');
}

function issueText({ path = [], message }: SchemaIssue): string {
  return `${path.map((key) => String(typeof key === 'object' ? key.key : key)).join('.')}: ${message}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
