import type { OptionsSchema } from '@virtio-platform/core';
import { z } from 'zod';
import { isRecord } from '../source/unknown-value.ts';
/** A draft-07 JSON Schema. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** Describes what a zod schema takes. Whole numbers of any width are integers; what has no JSON form is left open. */
export function zodJsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema }) {
      if (zodSchema instanceof z.ZodBigInt) jsonSchema.type = 'integer';
    },
  });
}

/** Describes what a plugin's options may be, or `undefined` where its schema library cannot say. */
export function optionsJsonSchema(options: OptionsSchema<unknown>): JsonSchema | undefined {
  try {
    // zod's own description refuses a whole schema for one bigint in it.
    return options instanceof z.ZodType ? zodJsonSchema(options) : standardJsonSchema(options['~standard']);
  } catch {
    return undefined;
  }
}

/** Standard JSON Schema, which some libraries add to Standard Schema. */
function standardJsonSchema(standard: object): JsonSchema | undefined {
  const describe = 'jsonSchema' in standard && isRecord(standard.jsonSchema) ? standard.jsonSchema['input'] : undefined;
  const schema: unknown = typeof describe === 'function' ? describe({ target: 'draft-07' }) : undefined;
  return isRecord(schema) ? schema : undefined;
}

/** The keys that a schema knows at a path. */
export function schemaKeys(schema: JsonSchema, path: readonly PropertyKey[]): string[] {
  let forms = schemaForms(schema);
  for (const key of path) forms = forms.flatMap((form) => childForms(form, key));
  return forms.flatMap((form) => Object.keys(form['properties'] ?? {}));
}

/** The forms that a schema allows: itself, and those it is a union of. */
function schemaForms(schema: unknown): JsonSchema[] {
  if (!isRecord(schema)) return [];
  const nested = UNIONS.flatMap((keyword) => {
    const forms = schema[keyword];
    return Array.isArray(forms) ? forms.flatMap(schemaForms) : [];
  });
  return [schema, ...nested];
}

/** The keywords of a schema that is made of several. */
export const UNIONS = ['anyOf', 'oneOf', 'allOf'] as const;

function childForms({ items, properties }: JsonSchema, key: PropertyKey): JsonSchema[] {
  if (typeof key === 'number') return schemaForms(items);
  return isRecord(properties) ? schemaForms(properties[key]) : [];
}
