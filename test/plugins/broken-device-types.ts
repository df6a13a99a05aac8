import type { BrokenPlugin } from './broken-plugin.ts';

/** What the modules below are written with: a device type that is right, of which a part is changed. */
export const DEVICE_PRELUDE = `
import { isMainThread } from 'node:worker_threads';
import entropy, { EntropyDevice, RandomSource } from '@virtio-platform/device-entropy';
import { KEPT } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
const no = (what = 'no') => { throw new TypeError(what); };
const never = () => new Promise(() => {});
const options = (validate) => ({ '~standard': { version: 1, vendor: 'x', validate } });
const type = (members) => ({ ...entropy, ...members });
const driver = (members) => type({ driver: { ...entropy.driver, ...members } });
const half = (members) => driver({ open: (context) => Object.assign(entropy.driver.open(context), members) });
const kind = (members) => type({ workloads: { read: { ...entropy.workloads.read, ...members } } });
const workload = (members) => kind({ open: (...given) =>
  Object.defineProperties(entropy.workloads.read.open(...given), Object.getOwnPropertyDescriptors(members)) });
const running = (run) => kind({ open: (half, context) =>
  Object.assign(entropy.workloads.read.open(half, context), { run: () => run(context.loop, context) }) });
const model = (members) => type({ model: (settings, order) =>
  Object.defineProperties(new EntropyDevice(new RandomSource(), 64), Object.getOwnPropertyDescriptors(members)) });
const rows = (...rows) => type({ features: { source: 'here', rows } });
`;

const broken = (says: string, module: string, code = 'ERR_PLUGIN_HOOK', hook?: string): BrokenPlugin => ({
  kind: 'device',
  module: `export default ${module};`,
  code,
  says,
  ...(hook !== undefined && { hook }),
});
const module = (says: string, text: string, code: string, hook?: string): BrokenPlugin => ({
  ...broken(says, '', code, hook),
  module: text,
});
const inWorker = (plugin: BrokenPlugin): BrokenPlugin => ({ ...plugin, inWorker: true });

const INVALID = 'ERR_PLUGIN_INVALID';
const CONTRACT = 'ERR_PLUGIN_CONTRACT';
const TIMEOUT = 'ERR_PLUGIN_TIMEOUT';
const EXIT = 'ERR_PLUGIN_EXIT';
const HOOK = 'ERR_PLUGIN_HOOK';
const STALLED = 'ERR_DEVICE_STALLED';
const READ = 'workloads.read';
const NOTHING_LEFT = 'never settles: nothing is left that could settle it';

/** Device types that cannot be loaded. */
const LOADING: Readonly<Record<string, BrokenPlugin>> = {
  'device-load-throws': module('loading it failed: no', 'no(); export default entropy;', INVALID),
  'device-load-never-ends': module(`loading it ${NOTHING_LEFT}`, 'await never(); export default entropy;', TIMEOUT),
  'device-load-exits': module(
    'it called process.exit(0) while it was loaded, which would end the command',
    'process.exit(0); export default entropy;',
    EXIT,
  ),
  'device-is-null': broken('its default export is no plugin: it is null', 'null', INVALID),
  'device-is-platform': broken(
    'it is a platform plugin, not a device plugin',
    "{ ...entropy, kind: 'platform' }",
    INVALID,
  ),
  'device-id': broken('its default export lacks: id (a number, 1 to 63)', 'type({ id: 64 })', INVALID),
  'device-paths': broken(
    'its default export lacks: paths (a list of settings, or nothing)',
    "type({ paths: 'image' })",
    INVALID,
  ),
  'device-features-throw': broken(
    'looking at its default export throws: rows say no',
    "type({ features: { source: 'here', get rows() { return no('rows say no'); } } })",
    INVALID,
  ),
  'device-features-without-source': broken(
    'its default export lacks: features (a source, and rows with bit and name)',
    'type({ features: { rows: [] } })',
    INVALID,
  ),
  'device-bit-twice': broken(
    'its features have bit 3 twice: X_ONE and X_TWO',
    "rows({ bit: 3, name: 'X_ONE' }, { bit: 3, name: 'X_TWO' })",
    INVALID,
  ),
  'device-name-twice': broken(
    'its features have the name X_ONE twice',
    "rows({ bit: 3, name: 'X_ONE' }, { bit: 4, name: 'X_ONE' })",
    INVALID,
  ),
  'device-bit-reserved': broken(
    'its feature X_ONE has bit 33, which is not for device types (specification 1.4 section 2.2)',
    "rows({ bit: 33, name: 'X_ONE' })",
    INVALID,
  ),
  'device-name-reserved': broken(
    'its feature 3 has the name "VERSION_1", which is none of its own',
    "rows({ bit: 3, name: 'VERSION_1' })",
    INVALID,
  ),
  'device-fields-overlap': broken(
    'its config fields first and second overlap at byte 2',
    'type({ config: { first: { offset: 0, width: 4 }, second: { offset: 2, width: 2 } } })',
    INVALID,
  ),
  'device-field-nonsense': broken(
    'its default export lacks: config (fields with offset and width)',
    'type({ config: { first: { offset: -1, width: 4 } } })',
    INVALID,
  ),
  'device-field-unknown-feature': broken(
    'its config field first exists with feature 7, which has no row',
    'type({ config: { first: { offset: 0, width: 4, feature: 7 } } })',
    INVALID,
  ),
  'device-driver-features': broken(
    'its driver.features is an object, not a FeatureSet',
    'driver({ features: {} })',
    INVALID,
  ),
  'device-driver-unknown-feature': broken(
    'its driver.features has bit 5, which has no row in features',
    'driver({ features: FeatureSet.of(5) })',
    INVALID,
  ),
  'device-used-length': broken(
    'its driver.usedLength is "loose", not strict, clamp or ignore',
    "driver({ usedLength: { modern: 'loose' } })",
    INVALID,
  ),
  'device-declines-without-reason': broken(
    'its driver.declines has an object, which is not a feature with a reason',
    'driver({ declines: [{ feature: 33 }] })',
    INVALID,
  ),
  'device-declines-one': broken('its driver.declines is 33, not a list', 'driver({ declines: 33 })', INVALID),
  'device-writes-anything': broken(
    'its default export lacks: writes (buffers, memory, or nothing)',
    "type({ writes: 'anything' })",
    INVALID,
  ),
  'device-vhost-user': broken(
    'its vhostUser.config is "some", not required, of-features or none',
    "type({ vhostUser: { queues: 1, counted: 1, config: 'some', drains: false } })",
    INVALID,
  ),
};

/** Device types that are wrong where they are asked before a machine boots. */
const CHECKING: Readonly<Record<string, BrokenPlugin>> = {
  'device-options-throw': broken('its `options` threw: no', 'type({ options: options(() => no()) })', HOOK, 'options'),
  'device-options-never-end': broken(
    `its \`options\` ${NOTHING_LEFT}`,
    'type({ options: options(never) })',
    TIMEOUT,
    'options',
  ),
  'device-workload-options-nonsense': broken(
    'its `options` returned 7, not a result',
    'kind({ options: options(() => 7) })',
    CONTRACT,
    'options',
  ),
  'device-bytes-throw': broken(
    'its `workloads.read.bytes` threw: no',
    'kind({ bytes: () => no() })',
    HOOK,
    `${READ}.bytes`,
  ),
  ...Object.fromEntries(
    ['NaN', '-5', '1125899906842624', 'undefined'].map((bytes) => [
      `device-bytes-${bytes}`,
      broken(
        `its \`workloads.read.bytes\` returned ${bytes}, no length of a request`,
        `kind({ bytes: () => ${bytes} })`,
        CONTRACT,
        `${READ}.bytes`,
      ),
    ]),
  ),
  'device-problem-throws': broken(
    'its `workloads.read.problem` threw: no',
    'kind({ problem: () => no() })',
    HOOK,
    `${READ}.problem`,
  ),
  'device-problem-nonsense': broken(
    'its `workloads.read.problem` gave "bad", not an object',
    "kind({ problem: () => 'bad' })",
    CONTRACT,
    `${READ}.problem`,
  ),
  'device-problem-without-key': broken(
    'its `workloads.read.problem` gave an object with the wrong key (a key of the workload section, not undefined)',
    "kind({ problem: () => ({ message: 'bad' }) })",
    CONTRACT,
    `${READ}.problem`,
  ),
  'device-check-throws': broken('its `check` threw: no', 'type({ check: () => no() })', HOOK, 'check'),
  'device-check-exits': broken(
    'its `check` called process.exit(3), which would end the command',
    'type({ check: () => process.exit(3) })',
    EXIT,
    'check',
  ),
  'device-check-never-ends': broken(`its \`check\` ${NOTHING_LEFT}`, 'type({ check: never })', TIMEOUT, 'check'),
};

/** Device types whose halves cannot be made. */
const OPENING: Readonly<Record<string, BrokenPlugin>> = {
  'device-model-throws': broken('its `model` threw: no', 'type({ model: () => no() })', HOOK, 'model'),
  'device-model-nothing': broken(
    'its `model` gave undefined, not a device half',
    'type({ model() {} })',
    CONTRACT,
    'model',
  ),
  'device-model-half': broken(
    'its `model` gave a device half whose start, process is no function',
    'model({ start: null, process: 5 })',
    CONTRACT,
    'model',
  ),
  'device-model-features': broken(
    'its `model` gave a device half with feature bit 9, which has no row in the features of the type',
    'model({ features: FeatureSet.of(9) })',
    CONTRACT,
    'model',
  ),
  'device-model-config': broken(
    'its `model` gave a device half whose config is a list, not a Uint8Array',
    'model({ config: [1, 2] })',
    CONTRACT,
    'model',
  ),
  ...Object.fromEntries(
    ['0', '100000', 'NaN', '"many"'].map((entries, at) => [
      `device-model-queue-size-${at}`,
      broken(
        `its \`model\` gave a device half whose queue 0 has ${entries} entries: it has 1 to 32768`,
        `model({ queueSizes: [${entries}] })`,
        CONTRACT,
        'model',
      ),
    ]),
  ),
  'device-connect-throws': broken('its `connect` threw: no', 'model({ connect() { no(); } })', HOOK, 'connect'),
  'device-queues-text': broken(
    'its `driver.queues` returned "all", not a list',
    "driver({ queues: () => 'all' })",
    CONTRACT,
    'driver.queues',
  ),
  'device-queues-none': broken(
    'its `driver.queues` returned no queue',
    'driver({ queues: () => [] })',
    CONTRACT,
    'driver.queues',
  ),
  'device-queues-twice': broken(
    'its `driver.queues` returned queue 0 twice',
    'driver({ queues: () => [0, 0] })',
    CONTRACT,
    'driver.queues',
  ),
  'device-queues-negative': broken(
    'its `driver.queues` returned -1, no index of a queue',
    'driver({ queues: () => [0, -1] })',
    CONTRACT,
    'driver.queues',
  ),
  'device-queues-throw': broken('its `queues` threw: no', 'driver({ queues: () => no() })', HOOK, 'queues'),
  'device-driver-throws': broken('its `open` threw: no', 'driver({ open: () => no() })', HOOK, 'open'),
  'device-driver-nothing': broken(
    'its `driver.open` gave undefined, not an object',
    'driver({ open() {} })',
    CONTRACT,
    'driver.open',
  ),
  'device-driver-half': broken(
    'its `driver.open` gave an object with the wrong dispose (a function, not undefined)',
    'driver({ open: () => ({}) })',
    CONTRACT,
    'driver.open',
  ),
  'device-workload-throws': broken('its `open` threw: no', 'kind({ open: () => no() })', HOOK, 'open'),
  'device-workload-nothing': broken(
    'its `workloads.read.open` gave null, not an object',
    'kind({ open: () => null })',
    CONTRACT,
    `${READ}.open`,
  ),
  'device-workload-half': broken(
    'its `workloads.read.open` gave an object with the wrong run (a function, not undefined), ' +
      'recover (a function, since it recovers, not undefined)',
    'kind({ open: () => ({ done: {} }) })',
    CONTRACT,
    `${READ}.open`,
  ),
};

/** Device types that are wrong while a run is under way. */
const RUNNING: Readonly<Record<string, BrokenPlugin>> = {
  'device-run-throws': broken('its `run` threw: no', 'workload({ run: async function run() { no(); } })', HOOK, 'run'),
  'device-run-never-ends': broken(
    `its \`workloads.read.run\` ${NOTHING_LEFT}`,
    'workload({ run: never })',
    TIMEOUT,
    `${READ}.run`,
  ),
  'device-run-never-ends-with-timer': broken(
    'its `workloads.read.run` did not settle and did nothing for 1000 ms',
    'workload({ run() { setInterval(() => {}, 100); return never(); } })',
    TIMEOUT,
    `${READ}.run`,
  ),
  'device-run-does-nothing': broken(
    'its `workloads.read.run` returned after 0 of 20 requests',
    'workload({ async run() {} })',
    CONTRACT,
    `${READ}.run`,
  ),
  'device-run-counts-more': broken(
    'its `workloads.read.run` ended a round with progress 1 and 21 of 20 requests',
    'running((loop) => loop.turn(1, 21))',
    CONTRACT,
    `${READ}.run`,
  ),
  'device-run-turns-nan': broken(
    'its `workloads.read.run` ended a round with progress NaN and 0 of 20 requests',
    'running((loop) => loop.turn(NaN, 0))',
    CONTRACT,
    `${READ}.run`,
  ),
  'device-run-swallows': broken(
    'its `workloads.read.run` ended a round with progress -1 and 0 of 20 requests',
    'running(async (loop) => { for (;;) try { await loop.turn(-1, 0); } catch {} })',
    CONTRACT,
    `${READ}.run`,
  ),
  'device-run-progresses-for-ever': {
    ...broken(
      '',
      `kind({ open: (half, context) => Object.assign(entropy.workloads.read.open(half, context), { async run() {
  for (const bytes = new Uint8Array(64); ;) {
    while (half.request() === 0);
    if (half.publish()) context.notify(context.queues[0].queue);
    const came = half.poll();
    for (let i = 0; i < came; i++) half.read(i, bytes);
    await context.loop.turn(came, 0);
  } } }) })`,
      STALLED,
    ),
    isOfDevice: true,
    says: 'no request completed in 1000 ms, although buffers came back',
  },
  'device-done-throws': broken(
    'its `workloads.read.done` threw: no',
    'workload({ get done() { return no(); } })',
    HOOK,
    `${READ}.done`,
  ),
  'device-done-nonsense': broken(
    'its `workloads.read.done` gave an object with the wrong requests (a whole number from 0 on, not -3)',
    'workload({ done: { requests: -3, bytes: 0, repeated: 0, mismatches: { counts: {}, first: [] } } })',
    CONTRACT,
    `${READ}.done`,
  ),
  'device-dispose-throws': broken('its `dispose` threw: no', 'half({ dispose() { no(); } })', HOOK, 'dispose'),
  'device-model-dispose-throws': broken('its `dispose` threw: no', 'model({ dispose() { no(); } })', HOOK, 'dispose'),
  'device-start-throws': broken('its `start` threw: no', 'model({ start() { no(); } })', HOOK, 'start'),
  'device-wants-throws': broken('its `wants` threw: no', 'model({ wants() { no(); } })', HOOK, 'wants'),
  'device-wants-promise': broken(
    'its `wants` returned a Promise, not true or false',
    'model({ wants: async () => true })',
    CONTRACT,
    'wants',
  ),
  'device-process-throws': broken('its `process` threw: no', 'model({ process() { no(); } })', HOOK, 'process'),
  'device-process-exits': broken(
    'its `process` called process.exit(1), which would end the command',
    'model({ process: function process() { globalThis.process.exit(1); } })',
    EXIT,
    'process',
  ),
  ...Object.fromEntries(
    [
      ['nan', 'NaN'],
      ['negative', '-5'],
      ['huge', '1099511627776'],
      ['undefined', 'undefined'],
    ].map(([name, written]) => [
      `device-process-${name}`,
      broken(
        `its \`process\` returned ${written}, no number of bytes that were written`,
        `model({ process: () => ${written} })`,
        CONTRACT,
        'process',
      ),
    ]),
  ),
  'device-process-promise': broken(
    'its `process` returned a Promise, no number of bytes that were written',
    'model({ process: async () => 4 })',
    CONTRACT,
    'process',
  ),
  'device-process-keeps': {
    ...broken('', 'model({ process: () => KEPT })', STALLED),
    isOfDevice: true,
    says: 'no request completed in 1000 ms: the device has 4 buffers of queue 0',
  },
  'device-push-foreign': broken(
    'its `process` threw: buffer 9 is not in flight',
    'model({ process(queue, chain, space, queues) { queues.push(0, 9, 4); return 4; } })',
    HOOK,
    'process',
  ),
  'device-push-twice': broken(
    'its `push` was given NaN, no number of bytes that were written',
    'model({ process(queue, chain, space, queues) { queues.push(0, chain.head, NaN); return KEPT; } })',
    CONTRACT,
    'push',
  ),
  'device-config-gone': broken(
    'its `config` of the device half became null, not a Uint8Array',
    `type({ config: { first: { offset: 0, width: 4 } }, model() {
  const half = new EntropyDevice(new RandomSource(), 64);
  return Object.assign(half, { start() { half.config = null; } }); },
driver: { ...entropy.driver, open: (context) => Object.assign(entropy.driver.open(context), {
  configChanged() {} }) }, workloads: { read: { ...entropy.workloads.read, open: (half, context) => ({
  ...entropy.workloads.read.open(half, context), recover() {}, done: { requests: 0, bytes: 0, repeated: 0,
  mismatches: { counts: {}, first: [] } }, async run() { context.transport.readConfig(0, new Uint8Array(4));
  await context.loop.turn(0, 0); } }) } } })`,
    CONTRACT,
    'config',
  ),
  'device-config-changes-for-ever': {
    ...broken(
      '',
      `model({ usesEventLoop: true, wants: () => false, connect(events) { setInterval(() => events.configChanged(), 0); } })`,
      STALLED,
    ),
    isOfDevice: true,
    says: 'no request completed in 1000 ms: the device has 4 buffers of queue 0',
  },
  'device-config-changed-nonsense': broken(
    'its `configChanged` returned 16, not a text',
    `type({ driver: { ...entropy.driver, open: (context) =>
  Object.assign(entropy.driver.open(context), { configChanged: () => 16 }) }, model() {
  const half = new EntropyDevice(new RandomSource(), 64);
  let events; return Object.assign(half, { connect: (given) => (events = given), start: () => events.configChanged() }); } })`,
    CONTRACT,
    'configChanged',
  ),
  'device-config-changed-throws': broken(
    'its `configChanged` threw: no',
    `type({ driver: { ...entropy.driver, open: (context) =>
  Object.assign(entropy.driver.open(context), { configChanged: () => no() }) }, model() {
  const half = new EntropyDevice(new RandomSource(), 64);
  let events; return Object.assign(half, { connect: (given) => (events = given), start: () => events.configChanged() }); } })`,
    HOOK,
    'configChanged',
  ),
  'device-timer-throws': broken(
    'its code threw: thrown beside the run',
    `model({ usesEventLoop: true, wants: () => false, start() {
  setTimeout(function start() { no('thrown beside the run'); }, 20); } })`,
    HOOK,
  ),
  'device-rejects-unhandled': broken(
    'its `start` threw: rejected beside the run',
    "model({ start: async function start() { no('rejected beside the run'); } })",
    HOOK,
    'start',
  ),
};

/** Device types whose device half is in a worker. */
const IN_WORKER: Readonly<Record<string, BrokenPlugin>> = {
  'device-worker-model-throws': inWorker(
    broken(
      'its `model` threw: no',
      'type({ model() { return isMainThread ? entropy.model({}) : no(); } })',
      HOOK,
      'model',
    ),
  ),
  'device-worker-model-nothing': inWorker(
    broken(
      'its `model` gave undefined, not a device half',
      'type({ model: () => isMainThread ? entropy.model({}) : undefined })',
      CONTRACT,
      'model',
    ),
  ),
  'device-worker-no-default': inWorker(
    broken(
      'its `default export` exports 7 in a worker, not a device type',
      'isMainThread ? entropy : 7',
      CONTRACT,
      'default export',
    ),
  ),
  'device-worker-never-loads': inWorker(
    module(
      'its `default export` never finishes loading (a top-level await of it never settles) in a worker',
      'if (!isMainThread) await never();\nexport default entropy;',
      CONTRACT,
      'default export',
    ),
  ),
  'device-worker-connect-throws': inWorker(
    broken('its `connect` threw: no', 'model({ connect() { no(); } })', HOOK, 'connect'),
  ),
  'device-worker-start-throws': inWorker(
    broken('its `start` threw: no', 'model({ start() { no(); } })', HOOK, 'start'),
  ),
  'device-worker-process-throws': inWorker(
    broken('its `process` threw: no', 'model({ process() { no(); } })', HOOK, 'process'),
  ),
  'device-worker-process-nan': inWorker(
    broken(
      'its `process` returned NaN, no number of bytes that were written',
      'model({ process: () => NaN })',
      CONTRACT,
      'process',
    ),
  ),
  'device-worker-process-exits': inWorker(
    broken(
      'its `process` called process.exit(1), which would end the command',
      'model({ process: function process() { globalThis.process.exit(1); } })',
      EXIT,
      'process',
    ),
  ),
  'device-worker-process-never-returns': inWorker({
    ...broken('', 'model({ process() { for (;;); } })', 'ERR_DEVICE_LOST'),
    isOfDevice: true,
    says: "the device's thread did not answer in 5000 ms",
  }),
  'device-worker-timer-throws': inWorker(
    broken(
      'its code threw: thrown beside the run',
      `model({ usesEventLoop: true, wants: () => false, start() {
  setTimeout(() => no('thrown beside the run'), 20); } })`,
      HOOK,
    ),
  ),
  'device-worker-dispose-throws': inWorker(
    broken('its `dispose` threw: no', 'model({ dispose() { if (!isMainThread) no(); } })', HOOK, 'dispose'),
  ),
};

/** Device types, each with one mistake. */
export const BROKEN_DEVICE_TYPES: Readonly<Record<string, BrokenPlugin>> = {
  ...LOADING,
  ...CHECKING,
  ...OPENING,
  ...RUNNING,
  ...IN_WORKER,
};
