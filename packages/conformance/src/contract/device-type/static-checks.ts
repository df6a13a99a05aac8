import assert from 'node:assert/strict';
import { settingsWithoutPaths, type ConfigField, type OptionsSchema } from '@virtio-platform/core';
import { RESERVED_FEATURES, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { isKnownOption } from '../plugin/plugin-checks.ts';
import { accepted, checkedSettings, checkedWorkloads, type DeviceTypeSubject } from './device-type-subject.ts';

/** Bytes of a configuration space at most: of the window that transports have for it. */
const MOST_CONFIG = 4096;
/** The bits of queues and negotiation. */
const RESERVED: ReadonlySet<number> = new Set(RESERVED_FEATURES.rows.map(({ bit }) => bit));
const POLICIES: readonly unknown[] = ['strict', 'clamp', 'ignore', undefined];

/** The duties of what a device type states about itself. */
export const DEVICE_TYPE_STATIC_CHECKS: readonly ContractCheck<DeviceTypeSubject>[] = [
  {
    name: 'has the number of a device type, both halves and a workload',
    duty: 'DeviceTypePlugin.id: the number of the device type, 1 to 63; driver, model, workloads',
    advice:
      'take the number from specification 1.4 section 5, and bring driver.queues, driver.open, model and a workload',
    run({ plugin }) {
      const { id, driver, workloads } = plugin;
      assert.ok(Number.isInteger(id) && id >= 1 && id <= 63, `id is ${String(id)}, not 1 to 63`);
      assert.ok(typeof plugin.model === 'function', 'model is a function');
      assert.ok(typeof driver.queues === 'function', 'driver.queues is a function');
      assert.ok(typeof driver.open === 'function', 'driver.open is a function');
      for (const policy of [driver.usedLength?.modern, driver.usedLength?.legacy])
        assert.ok(POLICIES.includes(policy), `driver.usedLength has ${String(policy)}, not strict, clamp or ignore`);
      assert.ok(Object.keys(workloads).length > 0, 'it has a workload');
    },
  },
  {
    name: 'lists each of its features once, in the bits of a device type',
    duty: 'DeviceTypePlugin.features: one row for each feature bit of the type, with what it requires and the source',
    advice: 'declare the rows with FeatureRows: bits 0 to 23 and from 50 on, names like BLK_FLUSH, and a source',
    run({ plugin }) {
      const { rows, source } = plugin.features;
      assert.ok(typeof source === 'string' && source.length > 0, 'the rows have a source');
      const known = new Set([...RESERVED, ...rows.map(({ bit }) => bit)]);
      for (const { bit, name, requires = [] } of rows) {
        assert.ok(Number.isInteger(bit) && bit >= 0 && bit <= 127, `${name}: bit ${String(bit)} is not 0 to 127`);
        assert.ok(!RESERVED.has(bit), `${name}: bit ${bit} is of queues or negotiation, and no device type's`);
        assert.match(name, /^[A-Z][A-Z0-9_]*$/, `bit ${bit}: the name has capital letters, digits and underscores`);
        assert.equal(rows.filter((row) => row.bit === bit).length, 1, `bit ${bit} has one row`);
        assert.equal(rows.filter((row) => row.name === name).length, 1, `the name ${name} is of one row`);
        for (const needed of requires.flat()) {
          assert.ok(known.has(needed), `${name} requires bit ${needed}, which has no row`);
          assert.notEqual(needed, bit, `${name} requires itself`);
        }
      }
    },
  },
  {
    name: 'lays out its configuration space without overlaps, of features that it has',
    duty: 'DeviceTypePlugin.config: offset, width, and the feature that the field exists with',
    advice: 'give each field its bytes of the specification, below 4096; only fields of different features may overlap',
    run({ plugin }) {
      const bits = new Set(plugin.features.rows.map(({ bit }) => bit));
      const fields = Object.entries(plugin.config);
      for (const [name, field] of fields) {
        const { offset, width } = field;
        assert.ok(Number.isInteger(offset) && offset >= 0, `${name}: offset ${String(offset)}`);
        assert.ok(Number.isInteger(width) && width >= 1, `${name}: width ${String(width)}`);
        assert.ok(offset + width <= MOST_CONFIG, `${name} ends at byte ${offset + width}, behind byte ${MOST_CONFIG}`);
        for (const bit of featuresOf(field))
          assert.ok(bits.has(bit), `${name} is of feature bit ${bit}, which has no row`);
        for (const [other, second] of fields) {
          if (other === name || offset + width <= second.offset || second.offset + second.width <= offset) continue;
          assert.ok(areAlternatives(field, second), `${name} and ${other} overlap, and are no alternatives`);
        }
      }
    },
  },
  {
    name: 'knows in both halves only the features of its rows',
    duty: 'DeviceDriver.features, DeviceModel.features: feature bits of the device type',
    advice: 'add a row for each bit of driver.features and model.features; ring features are none of a type',
    async run(subject) {
      const { plugin } = subject;
      const bits = new Set(plugin.features.rows.map(({ bit }) => bit));
      const model = plugin.model(await checkedSettings(subject), 'little');
      try {
        for (const [half, features] of [
          ['driver.features', plugin.driver.features],
          ['the features of the device half', model.features],
        ] as const)
          for (const bit of features) assert.ok(bits.has(bit), `${half} has bit ${bit}, which has no row`);
      } finally {
        model.dispose();
      }
    },
  },
  {
    name: 'declines only features that negotiation can do without, each with its reason',
    duty: 'DeviceDriver.declines: features that the core would accept and the driver half cannot work with',
    advice: 'leave features of the type out of driver.features instead, and say in `reason` why the others cannot be',
    run({ plugin }) {
      const { declines = [], features } = plugin.driver;
      if (declines.length === 0) skipCheck('its driver half works with every feature of rings and platforms');
      for (const { feature, reason } of declines) {
        assert.ok(
          Number.isInteger(feature) && feature >= 0 && feature <= 127,
          `bit ${String(feature)} is not 0 to 127`,
        );
        assert.ok(typeof reason === 'string' && reason.length > 0, `bit ${feature} is declined with a reason`);
        assert.ok(!features.has(feature), `bit ${feature} is declined, and in driver.features`);
        assert.notEqual(feature, VIRTIO_F_VERSION_1, 'VERSION_1, without which there is no modern interface');
      }
    },
  },
  {
    name: 'makes plain data of its settings, which another thread can get',
    duty: 'DeviceTypePlugin.options: the result is plain data, since a device half may be made in another thread',
    advice: 'keep functions, classes and open files out of the checked settings; open files in `model`',
    async run(subject) {
      const settings = await checkedSettings(subject);
      let copy: unknown;
      assert.doesNotThrow(() => (copy = structuredClone(settings)), 'the checked settings can be cloned');
      assert.deepEqual(copy, settings, 'the clone of the checked settings is the same');
    },
  },
  {
    name: 'describes its settings and the options of its workloads as JSON Schema',
    duty: 'DeviceTypePlugin.options: the editor schema has the keys of every installed type',
    advice: 'leave out of the schema what has no JSON form (transforms of a class, symbols), or describe it',
    run({ plugin }) {
      const schemas: [what: string, schema: OptionsSchema<unknown>][] = [['options', plugin.options]];
      for (const [name, { options }] of Object.entries(plugin.workloads)) schemas.push([`workload ${name}`, options]);
      for (const [what, { '~standard': standard }] of schemas) {
        const describe: unknown = Reflect.get(Object(Reflect.get(standard, 'jsonSchema')), 'input');
        if (typeof describe !== 'function')
          skipCheck(
            `the schema library ${standard.vendor} has no Standard JSON Schema: editors cannot help with ${what}`,
          );
        const schema: unknown = describe({ target: 'draft-07', libraryOptions: { unrepresentable: 'any' } });
        assert.ok(typeof schema === 'object' && schema !== null, `${what} is described by an object`);
        assert.equal(Reflect.get(schema, 'type'), 'object', `${what} is described as an object`);
      }
    },
  },
  {
    name: 'names as paths settings that its schema has, and each may be left out',
    duty: 'DeviceTypePlugin.paths: settings that are paths of files; each is optional',
    advice: 'name keys of the schema in `paths`, and make each optional: `explain` leaves them out',
    async run({ plugin, options }) {
      const { paths = [] } = plugin;
      if (paths.length === 0) skipCheck('it has no settings that are paths');
      for (const path of paths)
        assert.ok(await isKnownOption(plugin, options, path), `${path} of \`paths\` is a setting of the schema`);
      await accepted(plugin.options, settingsWithoutPaths(plugin, options), 'settings without paths');
    },
  },
  {
    name: 'has workloads that say what they are, and whose options refuse what they do not know',
    duty: 'WorkloadType: summary, options, bytes, problem, recovers',
    advice: 'describe the options with a strict schema, and let `bytes` give the bytes of the longest request',
    async run(subject) {
      const settings = await checkedSettings(subject);
      for (const { name, type, options } of await checkedWorkloads(subject)) {
        assert.match(name, /^[a-z][a-z0-9-]*$/, 'the name of a workload has small letters, digits and hyphens');
        assert.ok(typeof type.summary === 'string' && type.summary.length > 0, `${name} has a summary`);
        assert.equal(typeof type.recovers, 'boolean', `${name}.recovers`);
        const given = Object(subject.workloads[name] ?? {});
        const { issues } = await type.options['~standard'].validate({ ...given, noSuchOptionAnywhere: 1 });
        assert.ok(issues !== undefined && issues.length > 0, `${name} refuses the unknown option noSuchOptionAnywhere`);
        const bytes: unknown = type.bytes(options);
        assert.ok(Number.isSafeInteger(bytes) && Number(bytes) > 0, `${name}.bytes gives ${String(bytes)}`);
        const problem = type.problem?.(settings, options);
        assert.equal(problem, undefined, `the given options of ${name} are no problem: ${problem?.message ?? ''}`);
      }
    },
  },
  {
    name: 'says which option of a workload is the problem',
    duty: 'WorkloadType.problem: the key of the workload section and a message, or undefined; it throws nothing',
    advice: 'return { key, message } with a key of the workload section for values that cannot be together',
    async run(subject) {
      const settings = await checkedSettings(subject);
      let found = 0;
      for (const { name, type, options } of await checkedWorkloads(subject)) {
        const keys = new Set([...COMMON_KEYS, ...Object.keys(Object(options))]);
        for (const changed of changedOptions(options)) {
          const problem: unknown = type.problem?.(settings, changed);
          if (problem === undefined) continue;
          found++;
          const [key, message] = [Reflect.get(Object(problem), 'key'), Reflect.get(Object(problem), 'message')];
          const what = `${name}.problem of ${JSON.stringify(changed)}`;
          assert.ok(
            typeof key === 'string' && keys.has(key),
            `${what} names ${String(key)}, no key of the workload section`,
          );
          assert.ok(typeof message === 'string' && message.length > 0, `${what} has a message`);
        }
      }
      if (found === 0) skipCheck('no workload finds a problem in any of the values that were tried');
    },
  },
];

/** Keys that every workload section has. */
const COMMON_KEYS = ['kind', 'requests', 'depth', 'seed'];
/** What a number among the options is replaced with. */
const NUMBERS = [0, 1, 513, 2 ** 31 - 1];

function* changedOptions(options: unknown): Generator {
  for (const [key, value] of Object.entries(Object(options)))
    if (typeof value === 'number') for (const number of NUMBERS) yield { ...Object(options), [key]: number };
}

function featuresOf({ feature = [] }: ConfigField): readonly number[] {
  return typeof feature === 'number' ? [feature] : feature;
}

/** Whether two fields can be of two devices: no feature has both. */
function areAlternatives(one: ConfigField, other: ConfigField): boolean {
  const [first, second] = [featuresOf(one), featuresOf(other)];
  return first.length > 0 && second.length > 0 && !first.some((bit) => second.includes(bit));
}
