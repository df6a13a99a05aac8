import type { DeviceTypePlugin } from '@virtio-platform/core';
import type { AnyPlugin } from './plugin/load-plugin.ts';
import { optionsJsonSchema, UNIONS, zodJsonSchema, type JsonSchema } from './schema/options-json-schema.ts';
import { shortNameOf } from './plugin/resolve-plugin.ts';
import { RESERVED_KEYS, type PluginKind } from './plugin/plugin-use.ts';
import { profileSchema, SECTIONS } from './schema/profile-schema.ts';
import { isRecord } from './source/unknown-value.ts';
/** A plugin, and what profiles write to use it; one that could not be loaded adds nothing. */
export interface NamedPlugin {
  readonly use: string;
  readonly plugin: AnyPlugin | undefined;
  /** Of a package under development the file that it is entered by, from its folder: `dist/index.js`. */
  readonly entry?: string | undefined;
}

/**
 * Returns the draft-07 JSON Schema of a profile for editors, with the options of the given plugins. What a base or a
 * matrix may provide is not required of a profile that has one.
 */
export function profileJsonSchema(plugins: readonly NamedPlugin[]): JsonSchema {
  const types = plugins.flatMap(({ plugin }) => (plugin?.kind === 'device' ? [plugin] : []));
  const { required, properties, ...schema } = zodJsonSchema(profileSchema({ type: undefined, others: types }));
  const sections: Record<string, JsonSchema> = {};
  const complete: Record<string, JsonSchema> = {};
  for (const [name, section] of Object.entries(properties ?? {})) {
    const { required: keys, ...relaxed } = isRecord(section) ? section : {};
    sections[name] = withOwnKeys(name, relaxed, plugins, types);
    if (keys !== undefined) complete[name] = { required: keys };
  }
  return {
    ...schema,
    title: 'virtio-platform profile',
    description: 'A platform, a machine, a device and a workload, and what is expected of a run.',
    properties: { ...sections, matrix: matrixJsonSchema(sections) },
    ...when(
      { not: { anyOf: [{ required: ['extends'] }, { required: ['matrix'] }] } },
      { required, properties: complete },
    ),
  };
}

/** Adds what plugins allow beside the keys that every profile has. */
function withOwnKeys(
  name: string,
  section: JsonSchema,
  plugins: readonly NamedPlugin[],
  types: readonly DeviceTypePlugin[],
): JsonSchema {
  if (name === 'platform' || name === 'machine') return withPlugins(name, section, plugins);
  if (name === 'device') return withPlugins(name, withSettings(section, plugins), plugins);
  return name === 'workload' ? withWorkloads(section, types) : section;
}

/** Adds the settings of each device type that has a short name, by that name. */
function withSettings(section: JsonSchema, plugins: readonly NamedPlugin[]): JsonSchema {
  if (!isRecord(section['properties'])) return section;
  const { type, ...others } = section['properties'];
  const short = plugins.flatMap(({ use, plugin }) => {
    const name = plugin?.kind === 'device' ? shortNameOf(use) : undefined;
    return plugin === undefined || name === undefined ? [] : [{ name, options: plugin.options }];
  });
  const names = { anyOf: [{ enum: short.map(({ name }) => name) }, { type: 'string' }] };
  const proposed = isRecord(type) && short.length > 0 ? { ...type, ...names } : type;
  const conditions = short.flatMap(({ name, options }) =>
    whenKey('type', { const: name }, optionsJsonSchema(options), RESERVED_KEYS.device),
  );
  return { ...section, properties: { type: proposed, ...others }, ...(conditions.length > 0 && { allOf: conditions }) };
}

/** Adds the keys of each workload, by its name. Workloads of one name may be of several types. */
function withWorkloads(section: JsonSchema, types: readonly DeviceTypePlugin[]): JsonSchema {
  if (!isRecord(section['properties'])) return section;
  const common = Object.keys(section['properties']);
  const workloads = types.flatMap((type) => Object.entries(type.workloads));
  const kinds = [...new Set(workloads.map(([kind]) => kind))];
  const conditions = kinds.flatMap((kind) => {
    const ofKind = workloads.filter(([name]) => name === kind);
    const forms = ofKind.flatMap(([, { options }]): JsonSchema[] => {
      const form = optionsJsonSchema(options);
      return form === undefined ? [] : [form];
    });
    const distinct = [...new Map<string, JsonSchema>(forms.map((form) => [JSON.stringify(form), form])).values()];
    const form: JsonSchema | undefined = distinct.length > 1 ? { anyOf: distinct } : distinct[0];
    return whenKey('kind', { const: kind }, form, common);
  });
  return { ...section, ...(conditions.length > 0 && { allOf: conditions }) };
}

/** The options that a section may have beside `common` keys, where `key` is as `value` says. */
function whenKey(
  key: string,
  value: JsonSchema,
  options: JsonSchema | undefined,
  common: readonly string[],
): JsonSchema[] {
  // References would point into another document than the one they end up in.
  if (options === undefined || JSON.stringify(options).includes('"$ref"')) return [];
  const { $schema: _, ...form } = allowReserved(options, common);
  return [when({ properties: { [key]: value }, required: [key] }, form)];
}

/** Adds what each plugin allows beside the keys of the section itself, by the plugin that `use` names. */
function withPlugins(kind: PluginKind, section: JsonSchema, plugins: readonly NamedPlugin[]): JsonSchema {
  const fitting = plugins.filter(({ plugin }) => plugin?.kind === kind);
  if (fitting.length === 0 || !isRecord(section['properties'])) return section;
  const { use, ...others } = section['properties'];
  // Any other name is allowed too: these are what an editor proposes.
  const names = { anyOf: [{ enum: fitting.map((plugin) => plugin.use) }, { type: 'string' }] };
  const proposed = isRecord(use) ? { ...use, ...names } : names;
  const conditions = fitting.flatMap((named) =>
    whenKey('use', usesOf(named), named.plugin && optionsJsonSchema(named.plugin.options), RESERVED_KEYS[kind]),
  );
  const all = [...(Array.isArray(section['allOf']) ? section['allOf'] : []), ...conditions];
  return { ...section, properties: { use: proposed, ...others }, ...(all.length > 0 && { allOf: all }) };
}

/** What `use` may be for a plugin: the name of its package, and for one under development its folder or its entry. */
function usesOf({ use, entry }: NamedPlugin): JsonSchema {
  if (entry === undefined) return { const: use };
  const path = entry.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return { anyOf: [{ const: use }, { type: 'string', pattern: `^\\.{1,2}(/\\.\\.)*(/${path})?/?$` }] };
}

/** Lets an object, or each of a union of them, have keys that are the profile's and not the plugin's. */
function allowReserved(schema: JsonSchema, keys: readonly string[]): JsonSchema {
  const { properties } = schema;
  const allowed = Object.fromEntries(keys.map((key) => [key, true]));
  const unions = UNIONS.flatMap((keyword) => {
    const forms = schema[keyword];
    if (!Array.isArray(forms)) return [];
    return [[keyword, forms.map((form: unknown) => (isRecord(form) ? allowReserved(form, keys) : form))] as const];
  });
  const opened = isRecord(properties) ? { properties: { ...allowed, ...properties } } : {};
  return { ...schema, ...opened, ...Object.fromEntries(unions) };
}

function when(condition: JsonSchema, consequence: JsonSchema): JsonSchema {
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema; its value is no function
  return { if: condition, then: consequence };
}

/**
 * Describes `matrix` by what the rest of a profile may be: lists of the values of its paths, or a list of its parts.
 */
export function matrixJsonSchema(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const paths: Record<string, JsonSchema> = {};
  for (const section of SECTIONS) {
    paths[section] = listOf(`#/properties/${section}`);
    const values = properties[section]?.['properties'];
    for (const key of isRecord(values) ? Object.keys(values) : []) {
      paths[`${section}.${key}`] = listOf(`#/properties/${section}/properties/${key}`);
    }
  }
  const ofPlugins = { '^(platform|machine|device|workload)\\.': { type: 'array', minItems: 1 } };
  const parts = ['profile', 'summary', ...SECTIONS];
  const part = Object.fromEntries(parts.map((name) => [name, { $ref: `#/properties/${name}` }]));
  return {
    ...properties['matrix'],
    anyOf: [
      { type: 'object', properties: paths, patternProperties: ofPlugins, additionalProperties: false },
      { type: 'array', items: { type: 'object', properties: part, additionalProperties: false } },
    ],
  };
}

function listOf(reference: string): JsonSchema {
  return { type: 'array', minItems: 1, items: { $ref: reference } };
}
