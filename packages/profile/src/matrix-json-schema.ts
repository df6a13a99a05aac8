import type { JsonSchema } from './options-json-schema.ts';
import { SECTION_FIELDS } from './profile-schema.ts';
import { isRecord } from './unknown-record.ts';

/** Describes `matrix` by what the rest of a profile may be: lists of the values of its paths, or a list of its parts. */
export function matrixJsonSchema(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const paths: Record<string, JsonSchema> = {};
  for (const section of Object.keys(SECTION_FIELDS)) {
    paths[section] = listOf(`#/properties/${section}`);
    const values = properties[section]?.['properties'];
    for (const key of isRecord(values) ? Object.keys(values) : []) {
      paths[`${section}.${key}`] = listOf(`#/properties/${section}/properties/${key}`);
    }
  }
  const ofPlugins = { '^(platform|machine)\\.': { type: 'array', minItems: 1 } };
  const parts = ['profile', 'summary', ...Object.keys(SECTION_FIELDS)];
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
