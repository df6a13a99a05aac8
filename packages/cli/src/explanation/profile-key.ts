import type { JsonSchema } from '@virtio-platform/profile';

/** What the schema says of one key of a profile. */
export interface ProfileKey {
  /** From the top of the profile: `platform.window.kind`. */
  readonly path: string;
  /** What has the key, where not every profile does: `use: @virtio-platform/platform-pseries`; `null` otherwise. */
  readonly of: string | null;
  readonly description: string;
  /** In a few words: `one of default, ddw`, `whole number from 1 to 32768`. */
  readonly values: string;
  /** As a profile writes it; `null` where the schema names none. */
  readonly default: string | null;
  /** The keys below it, by their last part. */
  readonly keys: readonly string[];
}

/** A profile is nested less deeply; a schema of a plugin may refer to itself. */
const DEEPEST = 8;

/** Every key of the schema of profiles, with those of each plugin in it. A key of several plugins has an entry each. */
export function profileKeys(schema: JsonSchema): readonly ProfileKey[] {
  return Object.entries(record(schema['properties'])).flatMap(([name, part]) => keysOf(name, record(part), null, 0));
}

function keysOf(path: string, schema: JsonSchema, of: string | null, depth: number): ProfileKey[] {
  if (depth === DEEPEST) return [];
  const children = childrenOf(schema);
  const nested = children.flatMap(([name, part, owner]) => keysOf(`${path}.${name}`, part, owner ?? of, depth + 1));
  const described = new Map<string, ProfileKey>();
  // A key that several plugins have in common is one key.
  for (const key of nested) described.set(`${key.path} ${key.of} ${key.description}`, key);
  const keys = [...new Set(children.map(([name]) => name))];
  return [{ path, of, ...factsOf(schema), keys }, ...described.values()];
}

/** The keys of an object, those that a plugin adds, and those of the forms of a union. */
function childrenOf(schema: JsonSchema): (readonly [string, JsonSchema, string | null])[] {
  const own = Object.entries(record(schema['properties']))
    .filter(([, part]) => part !== true)
    .map(([name, part]) => [name, record(part), null] as const);
  const added = list(schema['allOf']).flatMap((condition) => {
    const owner = ownerOf(record(condition['if']));
    return childrenOf(record(condition['then'])).map(([name, part, inner]) => [name, part, inner ?? owner] as const);
  });
  const forms = ['anyOf', 'oneOf'].flatMap((union) => list(schema[union]).flatMap((form) => childrenOf(form)));
  return [...own, ...added, ...forms];
}

/** The condition of a plugin as a profile writes it: `use: @virtio-platform/platform-pseries`, `type: block`. */
function ownerOf(condition: JsonSchema): string | null {
  for (const [key, value] of Object.entries(record(condition['properties']))) {
    const [form = value] = list(record(value)['anyOf']);
    const name = record(form)['const'];
    if (typeof name === 'string') return `${key}: ${name}`;
  }
  return null;
}

function factsOf(schema: JsonSchema): Pick<ProfileKey, 'description' | 'values' | 'default'> {
  const { description, default: byDefault } = schema;
  return {
    description: typeof description === 'string' ? description : '',
    values: valuesOf(schema),
    default: byDefault === undefined ? null : JSON.stringify(byDefault),
  };
}

function valuesOf(schema: JsonSchema): string {
  const { enum: values, const: only, type, minimum, maximum } = schema;
  if (Array.isArray(values)) return `one of ${values.map(String).join(', ')}`;
  if (only !== undefined) return JSON.stringify(only) ?? '';
  const forms = [...list(schema['anyOf']), ...list(schema['oneOf'])].map((form) => valuesOf(form));
  if (forms.length > 0) return [...new Set(forms)].join(', or ');
  if (type === 'integer' || type === 'number') {
    const least = minimum === undefined ? '' : ` from ${JSON.stringify(minimum)}`;
    const most = maximum === undefined ? '' : ` to ${JSON.stringify(maximum)}`;
    return `${type === 'integer' ? 'whole number' : 'number'}${least}${most}`;
  }
  if (type === 'string') return textOf(schema['pattern']);
  if (type === 'boolean') return 'true or false';
  if (type === 'array') return `list of: ${valuesOf(record(schema['items']))}`;
  return type === 'object' ? 'keys and values' : 'any value';
}

/** The texts of quantities have a unit, which says more than their pattern. */
function textOf(pattern: unknown): string {
  if (typeof pattern !== 'string') return 'text';
  const units = /^\^\\d\+(?:\\\.\\d\+)?\(([^()]+)\)\$$/.exec(pattern)?.[1];
  return units === undefined ? `text like ${pattern}` : `number with a unit: ${units.split('|').join(', ')}`;
}

function record(value: unknown): JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function list(value: unknown): JsonSchema[] {
  return Array.isArray(value) ? value.map((entry) => record(entry)) : [];
}
