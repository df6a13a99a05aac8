import block from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import tinyMachine from './fixtures/tiny-machine.ts';
import tinyPlatform from './fixtures/tiny-platform.ts';
import type { AnyPlugin } from '../src/plugin/load-plugin.ts';
import { profileJsonSchema } from '../src/json-schema.ts';
import { isRecord } from '../src/source/unknown-value.ts';
const PLUGINS = [
  { use: 'tiny', plugin: tinyPlatform },
  { use: 'tiny-machine', plugin: tinyMachine },
  { use: 'broken', plugin: undefined },
];

/** What stands in `schema` below these keys. */
function at(schema: unknown, ...keys: readonly (string | number)[]): unknown {
  return keys.reduce((value, key) => (isRecord(value) ? value[key] : undefined), schema);
}

/** Paths of all keys that have no description. */
function undescribed(schema: unknown, path = ''): string[] {
  const properties = at(schema, 'properties');
  if (!isRecord(properties)) return [];
  return Object.entries(properties).flatMap(([key, value]) => [
    ...(isRecord(value) && typeof value['description'] === 'string' ? [] : [`${path}${key}`]),
    ...undescribed(value, `${path}${key}.`),
  ]);
}

describe('profileJsonSchema', () => {
  it('is draft-07 and plain JSON', () => {
    const schema = profileJsonSchema(PLUGINS);
    expect(schema['$schema']).toBe('http://json-schema.org/draft-07/schema#');
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });

  it('describes every key', () => {
    expect(undescribed(profileJsonSchema([]))).toEqual([]);
  });

  it('knows feature names', () => {
    const types = [{ use: 'block', plugin: block }];
    const items = at(profileJsonSchema(types), 'properties', 'device', 'properties', 'offers', 'items');
    expect(at(items, 'anyOf', 0, 'enum')).toContain('ACCESS_PLATFORM');
    expect(at(items, 'anyOf', 0, 'enum')).toContain('BLK_FLUSH');
  });

  it('requires of a profile that extends another only what it says itself', () => {
    const schema = profileJsonSchema([]);
    expect(schema['required']).toBeUndefined();
    expect(at(schema, 'properties', 'workload', 'required')).toBeUndefined();
    expect(schema['if']).toEqual({ not: { anyOf: [{ required: ['extends'] }, { required: ['matrix'] }] } });
    expect(at(schema, 'then', 'required')).toContain('workload');
    expect(at(schema, 'then', 'properties', 'workload', 'required')).toContain('requests');
  });

  it('describes both forms of a matrix by the rest of the schema', () => {
    const schema = profileJsonSchema(PLUGINS);
    const matrix = at(schema, 'properties', 'matrix');
    expect(at(matrix, 'anyOf', 0, 'properties', 'queue.layout')).toEqual({
      type: 'array',
      minItems: 1,
      items: { $ref: '#/properties/queue/properties/layout' },
    });
    expect(at(matrix, 'anyOf', 1, 'items', 'properties', 'expect')).toEqual({ $ref: '#/properties/expect' });
    const references = Array.from(JSON.stringify(matrix).matchAll(/"#\/([^"]+)"/g), ([, path]) => path!);
    expect(references.length).toBeGreaterThan(20);
    for (const path of references) expect([path, at(schema, ...path.split('/'))]).not.toContain(undefined);
  });

  it('adds the options of each plugin where `use` names it', () => {
    const schema = profileJsonSchema(PLUGINS);
    const platform = at(schema, 'properties', 'platform');
    expect(at(platform, 'properties', 'use', 'anyOf', 0, 'enum')).toEqual(['tiny']);
    expect(at(platform, 'allOf', 0, 'if', 'properties', 'use', 'const')).toBe('tiny');
    expect(at(platform, 'allOf', 0, 'then', 'properties', 'mode', 'enum')).toEqual(['plain', 'fancy']);
    expect(at(platform, 'allOf', 0, 'then', 'properties', 'use')).toBe(true);
    expect(at(platform, 'allOf', 1)).toBeUndefined();
    const machine = at(schema, 'properties', 'machine', 'allOf', 0, 'then');
    expect(at(machine, 'properties', 'memory')).toBe(true);
    expect(at(machine, 'additionalProperties')).toBe(false);
  });

  it('leaves open the options of a plugin whose schema has no JSON form', () => {
    const options: AnyPlugin['options'] = {
      '~standard': { version: 1, vendor: 'hand', validate: (value) => ({ value }) },
    };
    const schema = profileJsonSchema([{ use: 'hand', plugin: { ...tinyPlatform, options } }]);
    expect(at(schema, 'properties', 'platform', 'allOf')).toBeUndefined();
    expect(at(schema, 'properties', 'platform', 'properties', 'use', 'anyOf', 0, 'enum')).toEqual(['hand']);
  });

  it('adds the settings of a device type by its short name, and by its package', () => {
    const schema = profileJsonSchema([
      { use: '@virtio-platform/device-block', plugin: block },
      { use: '@mine/disk', plugin: { ...block, name: 'disk' } },
    ]);
    const device = at(schema, 'properties', 'device');
    expect(at(device, 'properties', 'type', 'anyOf', 0, 'enum')).toEqual(['block']);
    expect(at(device, 'properties', 'use', 'anyOf', 0, 'enum')).toEqual([
      '@virtio-platform/device-block',
      '@mine/disk',
    ]);
    const conditions = at(device, 'allOf');
    expect(conditions).toHaveLength(3);
    const named = [0, 1, 2].map((i) => at(conditions, i, 'if', 'properties'));
    expect(named).toEqual([
      { type: { const: 'block' } },
      { use: { const: '@virtio-platform/device-block' } },
      { use: { const: '@mine/disk' } },
    ]);
    for (const i of [0, 1, 2]) {
      expect(at(conditions, i, 'then', 'properties', 'capacity')).toBeDefined();
      for (const key of ['type', 'use', 'interface', 'offers'])
        expect(at(conditions, i, 'then', 'properties', key)).toBe(true);
    }
  });

  it.each([
    ['platform', tinyPlatform],
    ['machine', tinyMachine],
    ['device', block],
  ])('knows a %s under development by the paths that its own profiles write', (kind, plugin) => {
    const schema = profileJsonSchema([{ use: 'mine', plugin, entry: 'dist/index.js' }]);
    const uses = at(schema, 'properties', kind, 'allOf', 0, 'if', 'properties', 'use', 'anyOf');
    expect(at(uses, 0)).toEqual({ const: 'mine' });
    const pattern = new RegExp(String(at(uses, 1, 'pattern')));
    const own = ['.', '..', './', '../..', '../dist/index.js', './dist/index.js', '../../dist/index.js'];
    const others = [
      'mine-too',
      '../other',
      '../dist/indexXjs',
      '../dist/index.js/x',
      '/dist/index.js',
      'dist/index.js',
    ];
    expect([...own, ...others].filter((path) => pattern.test(path))).toEqual(own);
  });
});
