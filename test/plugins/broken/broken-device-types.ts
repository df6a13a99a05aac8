import { DeviceError, type DeviceEvents, type DeviceModel, type DeviceTypePlugin } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import block from '@virtio-platform/device-block';
import consoleType from '@virtio-platform/device-console';
import entropy from '@virtio-platform/device-entropy';
import net from '@virtio-platform/device-net';
import type { DescribeDeviceTypeOptions } from '@virtio-platform/conformance';
import {
  anyDeviceType,
  changed,
  withDriver,
  withModel,
  withWorkload,
  withWorkloadType,
  type AnyDeviceType,
} from './changed-device-type.ts';
import restless from './restless-device-type.ts';

/** A device type with one thing wrong, and the check of the suite that catches it. */
export interface BrokenDeviceType {
  /** Completes the sentence "a device type that ...". */
  readonly wrong: string;
  readonly check: string;
  readonly plugin: AnyDeviceType;
  readonly given: DescribeDeviceTypeOptions;
}

/** A sound device type, and what a contract test says of it. */
interface Sound {
  readonly plugin: AnyDeviceType;
  readonly given: DescribeDeviceTypeOptions;
}

const ENTROPY: Sound = {
  plugin: anyDeviceType(entropy),
  given: { options: { seed: 7 }, workloads: { read: { blockSize: 64 } } },
};
const BLOCK: Sound = {
  plugin: anyDeviceType(block),
  given: {
    options: { capacity: '8KiB' },
    workloads: { 'write-read-verify': { blockSize: 512 }, read: { blockSize: 512 }, mixed: { blockSize: 512 } },
  },
};
const CONSOLE: Sound = {
  plugin: anyDeviceType(consoleType),
  given: { workloads: { echo: { blockSize: 300 }, stream: { blockSize: 300 } } },
};
const NET: Sound = {
  plugin: anyDeviceType(net),
  given: { workloads: { echo: { blockSize: 300 }, stream: { blockSize: 300 } } },
};

function broken(
  wrong: string,
  check: string,
  { given }: Sound,
  plugin: AnyDeviceType,
  more: DescribeDeviceTypeOptions = {},
): BrokenDeviceType {
  return { wrong, check, plugin, given: { ...given, ...more } };
}

/** The sound type with changed members. */
function stated(wrong: string, check: string, sound: Sound, change: Partial<DeviceTypePlugin>): BrokenDeviceType {
  return broken(wrong, check, sound, { ...sound.plugin, ...change });
}

function schema(validate: DeviceTypePlugin['options']['~standard']['validate']): DeviceTypePlugin['options'] {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

const HAS_NUMBER = 'has the number of a device type, both halves and a workload';
const FEATURES = 'lists each of its features once, in the bits of a device type';
const CONFIG = 'lays out its configuration space without overlaps, of features that it has';
const OWN_FEATURES = 'knows in both halves only the features of its rows';
const DECLINES = 'declines only features that negotiation can do without, each with its reason';
const WORKLOADS = 'has workloads that say what they are, and whose options refuse what they do not know';
const PROBLEM = 'says which option of a workload is the problem';
const MODEL = 'makes a device half with its queues and the whole configuration space';
const PATHS = 'names as paths settings that its schema has, and each may be left out';
const OPTIONS = 'checks its options with a Standard Schema that refuses what it does not know';
const SAME_OPTIONS = 'checks the same options to the same value, and changes nothing of what it is given';
let answers = 0;

/** A schema whose library throws where it is asked for JSON Schema. */
const UNDESCRIBED = {
  ...ENTROPY.plugin.options['~standard'],
  jsonSchema: {
    input(): never {
      throw new Error('cannot be represented');
    },
  },
};

/** The static side. */
const STATIC: readonly BrokenDeviceType[] = [
  stated('has a name with spaces', 'says what it is', ENTROPY, { name: 'My Device' }),
  stated('takes any setting', OPTIONS, ENTROPY, { options: schema((value) => ({ value })) }),
  stated('does not say which setting is wrong', 'names the option that is wrong', ENTROPY, {
    options: schema((value) =>
      typeof value === 'object' && value !== null && 'noSuchOptionAnywhere' in value
        ? { issues: [{ message: 'invalid' }] }
        : { value },
    ),
  }),
  broken(
    'counts how often its settings are checked',
    SAME_OPTIONS,
    ENTROPY,
    {
      ...ENTROPY.plugin,
      options: schema((value) =>
        isEmpty(value) ? { value: { answers: answers++ } } : { issues: [{ message: 'no' }] },
      ),
    },
    { options: {} },
  ),
  stated('has number 0', HAS_NUMBER, ENTROPY, { id: 0 }),
  stated('has number 64', HAS_NUMBER, ENTROPY, { id: 64 }),
  stated('has no workload', HAS_NUMBER, ENTROPY, { workloads: {} }),
  stated('has two rows for one bit', FEATURES, ENTROPY, {
    features: {
      source: 'test',
      rows: [
        { bit: 1, name: 'A' },
        { bit: 1, name: 'B' },
      ],
    },
  }),
  stated('has two rows of one name', FEATURES, ENTROPY, {
    features: {
      source: 'test',
      rows: [
        { bit: 1, name: 'A' },
        { bit: 2, name: 'A' },
      ],
    },
  }),
  stated('takes a bit of the ring', FEATURES, ENTROPY, {
    features: { source: 'test', rows: [{ bit: 28, name: 'A' }] },
  }),
  stated('requires a feature that there is not', FEATURES, ENTROPY, {
    features: { source: 'test', rows: [{ bit: 1, name: 'A', requires: [9] }] },
  }),
  stated('gives its features no source', FEATURES, ENTROPY, { features: { source: '', rows: [] } }),
  stated('has fields that overlap', CONFIG, ENTROPY, {
    config: { one: { offset: 0, width: 4 }, other: { offset: 2, width: 2 } },
  }),
  stated('has a field behind byte 4096', CONFIG, ENTROPY, { config: { far: { offset: 4094, width: 4 } } }),
  stated('has a field of a feature without a row', CONFIG, ENTROPY, {
    config: { one: { offset: 0, width: 4, feature: 3 } },
  }),
  stated('has a driver half that knows a feature without a row', OWN_FEATURES, ENTROPY, {
    driver: { ...ENTROPY.plugin.driver, features: FeatureSet.of(3) },
  }),
  broken(
    'has a device half that offers a feature without a row',
    OWN_FEATURES,
    ENTROPY,
    withModel(ENTROPY.plugin, () => ({ features: FeatureSet.of(3) })),
  ),
  stated('declines a feature without a reason', DECLINES, ENTROPY, {
    driver: { ...ENTROPY.plugin.driver, declines: [{ feature: 33, reason: '' }] },
  }),
  stated('declines VERSION_1', DECLINES, ENTROPY, {
    driver: { ...ENTROPY.plugin.driver, declines: [{ feature: 32, reason: 'it is old' }] },
  }),
  stated('makes functions of its settings', 'makes plain data of its settings, which another thread can get', ENTROPY, {
    options: schema(() => ({ value: { seed: 7, log: () => {} } })),
  }),
  stated(
    'cannot be described to an editor',
    'describes its settings and the options of its workloads as JSON Schema',
    ENTROPY,
    {
      options: { '~standard': UNDESCRIBED },
    },
  ),
  stated('names a path that is no setting', PATHS, BLOCK, { paths: ['imgae'] }),
  stated('names a path without which its settings are refused', PATHS, BLOCK, {
    paths: ['capacity'],
    options: schema((value) => {
      const given: object = typeof value === 'object' && value !== null ? value : {};
      return 'capacity' in given && typeof given.capacity === 'string'
        ? { value: { capacity: 8192 } }
        : { issues: [{ message: 'must be a string', path: ['capacity'] }] };
    }),
  }),
  broken('has a workload without a summary', WORKLOADS, ENTROPY, withWorkloadType(ENTROPY.plugin, { summary: '' })),
  broken('has requests of 0 bytes', WORKLOADS, ENTROPY, withWorkloadType(ENTROPY.plugin, { bytes: () => 0 })),
  broken(
    'has a workload that takes any option',
    WORKLOADS,
    ENTROPY,
    withWorkloadType(ENTROPY.plugin, { options: schema(() => ({ value: { blockSize: 64 } })) }),
  ),
  broken(
    'finds a problem where there is none',
    WORKLOADS,
    ENTROPY,
    withWorkloadType(ENTROPY.plugin, { problem: () => ({ key: 'blockSize', message: 'no' }) }),
  ),
  broken(
    'names a key that the workload section does not have',
    PROBLEM,
    BLOCK,
    withWorkloadType(BLOCK.plugin, {
      problem: (_settings, options) =>
        Reflect.get(Object(options), 'blockSize') === 512 ? undefined : { key: 'size', message: 'no' },
    }),
  ),
];

/** The device half by itself. */
const BY_ITSELF: readonly BrokenDeviceType[] = [
  broken(
    'has a device half without a queue',
    MODEL,
    ENTROPY,
    withModel(ENTROPY.plugin, () => ({ queueSizes: [] })),
  ),
  broken(
    'has a shorter configuration than its table',
    MODEL,
    BLOCK,
    withModel(BLOCK.plugin, ({ config }) => ({ config: config.subarray(0, 24) })),
  ),
  stated(
    'writes its configuration little-endian for a big-endian guest',
    'writes its configuration in the byte order that it is made for',
    BLOCK,
    { model: (settings) => BLOCK.plugin.model(settings, 'little') },
  ),
  broken(
    'throws for a buffer that is too short',
    'survives every buffer that a driver can make',
    ENTROPY,
    withModel(ENTROPY.plugin, (model) => ({
      process(queue, chain, space, queues) {
        if (chain.writableBytes < 8) throw new RangeError('too short');
        return model.process(queue, chain, space, queues);
      },
    })),
  ),
  broken(
    'counts bytes that memory refused',
    'survives every buffer that a driver can make',
    ENTROPY,
    withModel(ENTROPY.plugin, (model) => ({
      process(queue, chain, space, queues) {
        const bytes = Math.min(chain.writableBytes, 4096);
        model.process(queue, chain, space, queues);
        return chain.readableBytes > 0 ? 0 : bytes;
      },
    })),
  ),
  broken(
    'cannot be disposed twice',
    'can be disposed twice, before it was started too',
    ENTROPY,
    withModel(ENTROPY.plugin, () => {
      let isDisposed = false;
      return {
        dispose() {
          if (isDisposed) throw new Error('disposed already');
          isDisposed = true;
        },
      };
    }),
  ),
  broken(
    'tells of events after it was disposed',
    'tells its host of nothing after it was disposed',
    ENTROPY,
    withModel(ENTROPY.plugin, () => ({
      connect: (events: DeviceEvents) => void setTimeout(() => events.queueChanged(), 60),
    })),
  ),
  broken(
    'leaves a timer running',
    'makes the same device half in another thread, and leaves nothing running there',
    ENTROPY,
    restless,
    { module: new URL('restless-device-type.ts', import.meta.url) },
  ),
  broken(
    'is not what its module exports',
    'makes the same device half in another thread, and leaves nothing running there',
    ENTROPY,
    ENTROPY.plugin,
    { module: new URL('empty-module.ts', import.meta.url) },
  ),
];

/** A device half that does something else with each buffer. */
function processing(
  sound: Sound,
  change: (model: DeviceModel, ...buffer: Parameters<DeviceModel['process']>) => number,
): AnyDeviceType {
  return withModel(sound.plugin, (model) => ({ process: (...buffer) => change(model, ...buffer) }));
}

/** The device half at work for the driver half. */
const AT_WORK: readonly BrokenDeviceType[] = [
  broken(
    'says that it wrote more than it did',
    'writes only into writable parts, and counts what it wrote in front',
    CONSOLE,
    processing(CONSOLE, (model, queue, chain, space, queues) => {
      const { writableBytes } = chain;
      const written = model.process(queue, chain, space, queues);
      return written > 0 ? writableBytes : written;
    }),
  ),
  broken(
    'writes to what it may only read',
    'writes only into writable parts, and counts what it wrote in front',
    CONSOLE,
    processing(CONSOLE, (model, queue, chain, space, queues) => {
      if (chain.readableBytes > 0) space.write(chain.low[0]!, chain.high[0]!, new Uint8Array(1), 0, 1);
      return model.process(queue, chain, space, queues);
    }),
  ),
  broken(
    'takes the first segment for the header',
    'takes any framing of a buffer',
    BLOCK,
    processing(BLOCK, (model, queue, chain, space, queues) =>
      chain.length[0] === 16 ? model.process(queue, chain, space, queues) : 0,
    ),
  ),
  broken(
    'keeps a counter over a reset',
    'is as new after a reset',
    ENTROPY,
    withModel(ENTROPY.plugin, () => ({ start: () => {} })),
  ),
  broken(
    'delivers what was left before a reset',
    'is as new after a reset',
    CONSOLE,
    withModel(CONSOLE.plugin, (model) => {
      let isStarted = false;
      return {
        start(accepted) {
          if (!isStarted) model.start(accepted);
          isStarted = true;
        },
      };
    }),
  ),
  broken(
    'pushes a buffer of a queue that was reset',
    'forgets the buffers of a queue that is reset',
    CONSOLE,
    withModel(CONSOLE.plugin, (model) => {
      const kept: number[] = [];
      return {
        process(queue, chain, space, queues) {
          for (const head of kept.splice(0)) queues.push(1, head, 0);
          const { head } = chain;
          const written = model.process(queue, chain, space, queues);
          if (queue !== 1 || written < 0) return written;
          kept.push(head);
          return -1;
        },
        forget: () => {},
      };
    }),
  ),
  broken(
    'changes its configuration and does not tell',
    'tells its host by an event of what changes by itself',
    BLOCK,
    withModel(BLOCK.plugin, (model) => {
      let handled = 0;
      return {
        process(queue, chain, space, queues) {
          if (++handled === 5) model.config[20] = 0xff;
          return model.process(queue, chain, space, queues);
        },
      };
    }),
  ),
  broken(
    'wants buffers at another time and does not tell',
    'tells its host by an event of what changes by itself',
    ENTROPY,
    withModel(ENTROPY.plugin, (model) => {
      let isOpen = true;
      return {
        usesEventLoop: true,
        wants: () => isOpen,
        process(queue, chain, space, queues) {
          isOpen = false;
          setTimeout(() => (isOpen = true), 2);
          return model.process(queue, chain, space, queues);
        },
      };
    }),
  ),
];

/** The driver half and the workload. */
const DRIVER: readonly BrokenDeviceType[] = [
  broken('never notifies the device', 'verifies each workload on each kind of ring', CONSOLE, {
    ...CONSOLE.plugin,
    driver: {
      ...CONSOLE.plugin.driver,
      open: (context) => CONSOLE.plugin.driver.open({ ...context, notify: () => {} }),
    },
  }),
  broken(
    'reads its buffers at their physical addresses',
    'verifies each workload however its buffers are mapped',
    CONSOLE,
    {
      ...CONSOLE.plugin,
      driver: {
        ...CONSOLE.plugin.driver,
        open: (context) =>
          CONSOLE.plugin.driver.open({
            ...context,
            queues: context.queues.map(({ queue, mapping }) => ({
              queue,
              mapping: changed(mapping, {
                premap(address, length, direction) {
                  return changed(mapping.premap(address, length, direction), { syncForCpu: () => {} });
                },
              }),
            })),
          }),
      },
    },
  ),
  stated(
    'takes the depth for the number of its buffers',
    'works one request at a time, and with more at once than a queue has entries',
    ENTROPY,
    {
      driver: {
        ...ENTROPY.plugin.driver,
        open(context) {
          if (context.depth > context.queues[0]!.queue.size) throw new RangeError('too deep');
          return ENTROPY.plugin.driver.open(context);
        },
      },
    },
  ),
  stated(
    'reads a field whose feature was not accepted',
    'works without each of its features, and reads only fields that it accepted',
    BLOCK,
    {
      driver: {
        ...BLOCK.plugin.driver,
        queues(device) {
          device.transport.readConfig(20, new Uint8Array(4));
          return BLOCK.plugin.driver.queues(device);
        },
      },
    },
  ),
  stated(
    'has a driver half that reads headers little-endian in a big-endian guest',
    'works on the legacy interface of a guest of either byte order',
    BLOCK,
    {
      driver: {
        ...BLOCK.plugin.driver,
        open: (context) => BLOCK.plugin.driver.open({ ...context, byteOrder: 'little' }),
      },
    },
  ),
  broken(
    'loses the requests that a queue reset returned',
    'makes requests again that a queue reset returned',
    ENTROPY,
    withWorkload(ENTROPY.plugin, () => ({ recover: () => {} })),
  ),
  broken(
    'does not give its buffers back',
    'gives all buffers back after a reset, however the run ended',
    CONSOLE,
    withDriver(CONSOLE.plugin, () => ({ dispose: () => {} })),
  ),
  broken(
    'gives its buffers back twice',
    'gives all buffers back after a reset, however the run ended',
    CONSOLE,
    withDriver(CONSOLE.plugin, (driver) => ({
      dispose() {
        driver.dispose();
        driver.dispose();
      },
    })),
  ),
  broken(
    'throws no coded error where there is no memory for its buffers',
    'gives all buffers back after a reset, however the run ended',
    CONSOLE,
    {
      ...CONSOLE.plugin,
      driver: {
        ...CONSOLE.plugin.driver,
        open(context) {
          try {
            return CONSOLE.plugin.driver.open(context);
          } catch {
            throw new Error('no memory');
          }
        },
      },
    },
  ),
  broken(
    'leaves memory allocated where it cannot be opened',
    'gives all buffers back after a reset, however the run ended',
    CONSOLE,
    withDriver(CONSOLE.plugin, (_driver, { memory, queues }) => {
      memory.allocate(64);
      queues[0]!.mapping.premap(memory.allocate(64), 64, 0);
      return {};
    }),
  ),
  broken(
    'gives up when a map fails',
    'survives a map that fails',
    ENTROPY,
    withWorkload(
      ENTROPY.plugin,
      () => ({}),
      (context) => ({
        ...context,
        loop: changed(context.loop, {
          failedToAdd(reason) {
            throw new DeviceError('ERR_DMA_EXHAUSTED', `cannot map (${reason})`);
          },
        }),
      }),
    ),
  ),
  broken(
    'says nothing of a buffer that it shows to the device',
    'says in a few words what each buffer with the device is for',
    ENTROPY,
    withDriver(ENTROPY.plugin, (driver) => ({
      describeBuffer: (queue, id) => (id % 2 === 0 ? driver.describeBuffer?.(queue, id) : ''),
    })),
  ),
  broken(
    'lets no disruption happen',
    'tells the loop of each round, with the numbers of its own account',
    ENTROPY,
    withWorkload(
      ENTROPY.plugin,
      () => ({}),
      (context) => ({ ...context, loop: changed(context.loop, { disrupt: () => {} }) }),
    ),
  ),
  broken(
    'counts requests that it did not make',
    'tells the loop of each round, with the numbers of its own account',
    ENTROPY,
    withWorkload(ENTROPY.plugin, (workload) => ({
      get done() {
        return { ...workload.done, requests: workload.done.requests + 1 };
      },
    })),
  ),
];

/** Towards a device that breaks the rules. */
const ROGUE: readonly BrokenDeviceType[] = [
  broken(
    'throws a TypeError where bytes are missing',
    'gives only coded errors on a device that breaks the rules',
    ENTROPY,
    withWorkload(ENTROPY.plugin, (workload) => ({
      async run() {
        await workload.run();
        if (workload.done.mismatches.first.length > 0) throw new TypeError('cannot read what is not there');
      },
    })),
  ),
  stated(
    'makes as many queues as the configuration says',
    'gives only coded errors on a configuration that cannot be',
    NET,
    {
      driver: {
        ...NET.plugin.driver,
        queues(device) {
          const bytes = new Uint8Array(2);
          device.transport.readConfig(6, bytes);
          return [...Array.from({ length: (bytes[0]! - 1) * 2 }).keys(), ...NET.plugin.driver.queues(device)];
        },
      },
    },
  ),
  broken(
    'does not say what changed',
    'hears of a changed configuration, whatever it is',
    BLOCK,
    withDriver(BLOCK.plugin, () => ({ configChanged: () => '' })),
  ),
  broken(
    'throws for a configuration that changed',
    'hears of a changed configuration, whatever it is',
    BLOCK,
    withDriver(BLOCK.plugin, () => ({
      configChanged() {
        throw new RangeError('another capacity');
      },
    })),
  ),
  broken(
    'compares nothing',
    'does not verify data in which one byte is wrong',
    CONSOLE,
    withWorkload(CONSOLE.plugin, (workload) => ({
      get done() {
        return { ...workload.done, mismatches: { counts: {}, first: [] } };
      },
    })),
  ),
];

/** Device types that are wrong, each with the check that says so. */
export const BROKEN_DEVICE_TYPES: readonly BrokenDeviceType[] = [
  ...STATIC,
  ...BY_ITSELF,
  ...AT_WORK,
  ...DRIVER,
  ...ROGUE,
];
