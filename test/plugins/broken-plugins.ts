import type { BrokenPlugin } from './broken-plugin.ts';

/** What the modules below are written with: a platform and a machine that are right, and one part changed. */
export const PRELUDE = `
import offset, { openAddressSpace as rightSpace } from './offset-platform.js';
import simulated, { SimulatedMachine } from '@virtio-platform/machine-simulated';
import { MACHINE, MACHINE_REQUEST, PLATFORM } from '@virtio-platform/core';
import { TranslatedAddressSpace } from '@virtio-platform/core/address-space';
const no = (what = 'no') => { throw new TypeError(what); };
const never = () => new Promise(() => {});
const binding = (token, value) => ({ register: (container) => container.register(token, { useValue: value }) });
const platform = (change) => ({ ...offset, register(container, options) {
  container.register(PLATFORM, { useFactory: (bindings) => {
    const own = bindings.createChildContainer();
    offset.register(own, options);
    return change(own.resolve(PLATFORM));
  } });
} });
const having = (members) => platform((right) => Object.defineProperties(right, Object.getOwnPropertyDescriptors(members)));
const traits = (members) => platform((right) => { right.traits = { ...right.traits, ...members }; return right; });
const rule = (members) => having({ rules: [{ name: 'own', source: 'here', stage: 'access', apply() {}, ...members }] });
const mapping = (change) => platform((right) => {
  const open = right.openMapping.bind(right);
  right.openMapping = (path, request) => change(open(path, request));
  return right;
});
const mappingWith = (members) => mapping((right) => Object.assign(right, members));
const space = (open) => ({ ...offset, simulate: (memory, options) => ({ facilities: new Map(), addressSpace: () => ({
  state: options, open,
}) }) });
const translation = (translate, run) => space((memory, faults) => new TranslatedAddressSpace(memory, faults, {
  generation: 0, cause: 'unmapped', run, translate,
}));
const inWorker = (state) => ({ ...offset, simulate: (memory, options) => ({ facilities: new Map(), addressSpace: () => ({
  module: import.meta.url, state: options, open: rightSpace,
}) }) });
const machine = (boot) => ({ ...simulated, name: 'broken', register(container, options) {
  container.register(MACHINE, { useFactory: (bindings) => {
    const right = new SimulatedMachine(bindings.resolve(MACHINE_REQUEST), options);
    return { name: 'broken', boot: () => boot(right) };
  } });
} });
const booted = (change) => machine(async (right) => change(await right.boot()));
const transport = (members) => booted((right) => { Object.assign(right.transport, members); return right; });
`;

const platform = (says: string, module: string, code = 'ERR_PLUGIN_HOOK', hook?: string): BrokenPlugin => ({
  kind: 'platform',
  module,
  code,
  says,
  ...(hook !== undefined && { hook }),
});
const machine = (says: string, module: string, code = 'ERR_PLUGIN_HOOK', hook?: string): BrokenPlugin => ({
  ...platform(says, module, code, hook),
  kind: 'machine',
});

const INVALID = 'ERR_PLUGIN_INVALID';
const CONTRACT = 'ERR_PLUGIN_CONTRACT';
const TIMEOUT = 'ERR_PLUGIN_TIMEOUT';
const EXIT = 'ERR_PLUGIN_EXIT';
const HOOK = 'ERR_PLUGIN_HOOK';

/** Plugins that cannot be loaded. */
const LOADING: Readonly<Record<string, BrokenPlugin>> = {
  'load-throws': platform('loading it failed: no', 'no(); export default offset;', INVALID),
  'load-throws-undefined': platform('loading it failed: undefined', 'throw undefined; export default offset;', INVALID),
  'load-never-ends': platform(
    'loading it never settles: nothing is left that could settle it',
    'await never(); export default offset;',
    TIMEOUT,
  ),
  'load-never-ends-with-timer': platform(
    'loading it did not settle in 10000 ms',
    'setInterval(() => {}, 100); await never(); export default offset;',
    TIMEOUT,
  ),
  'load-exits': platform(
    'it called process.exit(0) while it was loaded, which would end the command',
    'process.exit(0); export default offset;',
    EXIT,
  ),
  'load-aborts': machine(
    'it called process.abort() while it was loaded, which would end the command',
    'process.abort(); export default simulated;',
    EXIT,
  ),
  'no-default': platform('its default export is no plugin: it is undefined', 'export const plugin = offset;', INVALID),
  'default-is-text': platform('its default export is no plugin: it is "offset"', "export default 'offset';", INVALID),
  'default-is-promise': platform(
    'its default export is a Promise of a plugin: export what it resolves to',
    'export default Promise.resolve(offset);',
    INVALID,
  ),
  'default-is-proxy': platform(
    'looking at its default export throws: get says no',
    "export default new Proxy({}, { get: () => no('get says no') });",
    INVALID,
  ),
  'getter-throws': machine(
    'looking at its default export throws: provides says no',
    "export default { ...simulated, get provides() { return no('provides says no'); } };",
    INVALID,
  ),
  'needs-is-text': platform(
    'its default export lacks: needs (a list of facility tokens)',
    "export default { ...offset, needs: 'nothing' };",
    INVALID,
  ),
};

const OPTIONS = (validate: string): string =>
  `export default { ...offset, options: { '~standard': { version: 1, vendor: 'x', validate: ${validate} } } };`;

/** Plugins that are wrong where they are asked before anything is started. */
const CHECKING: Readonly<Record<string, BrokenPlugin>> = {
  'options-throws': platform('its `options` threw: no', OPTIONS('() => no()'), HOOK, 'options'),
  'options-null': platform('its `options` returned null, not a result', OPTIONS('() => null'), CONTRACT, 'options'),
  'options-issues': platform(
    'its `options` returned 5, not a list',
    OPTIONS('() => ({ issues: 5 })'),
    CONTRACT,
    'options',
  ),
  'options-never-ends': platform(
    'its `options` never settles: nothing is left that could settle it',
    OPTIONS('never'),
    TIMEOUT,
    'options',
  ),
  'missing-throws': machine(
    'its `missing` threw: no',
    'export default { ...simulated, missing: () => no() };',
    HOOK,
    'missing',
  ),
  'missing-text': machine(
    'its `missing` returned "qemu", not a list',
    "export default { ...simulated, missing: async () => 'qemu' };",
    CONTRACT,
    'missing',
  ),
  'missing-never-ends': machine(
    'its `missing` never settles: nothing is left that could settle it',
    'export default { ...simulated, missing: never };',
    TIMEOUT,
    'missing',
  ),
  'facility-problem': machine(
    'its `facilityProblem` gave an object with the wrong hint (a text, not undefined)',
    "export default { ...simulated, facilityProblem: () => ({ message: 'it has no table' }) };",
    CONTRACT,
    'facilityProblem',
  ),
  'memory-problem': machine(
    'its `memoryProblem` gave true, not an object',
    'export default { ...simulated, memoryProblem: () => true };',
    CONTRACT,
    'memoryProblem',
  ),
  'timer-throws-while-checked': platform(
    'its code threw: thrown beside the check',
    `setTimeout(() => no('thrown beside the check'), 5);
await new Promise((resolve) => setTimeout(resolve, 40)); export default offset;`,
    HOOK,
  ),
};

/** Plugins that are wrong where platform and machine are put together. */
const COMPOSING: Readonly<Record<string, BrokenPlugin>> = {
  'register-throws': platform(
    'its `register` threw: no',
    'export default { ...offset, register: () => no() };',
    HOOK,
    'register',
  ),
  'register-throws-text': platform(
    'its `register` threw "broken", which is no Error: broken',
    "export default { ...offset, register() { throw 'broken'; } };",
    HOOK,
    'register',
  ),
  'register-throws-hostile': platform(
    'its `register` threw: a value that has no text',
    "export default { ...offset, register() { throw Object.defineProperty(new Error(), 'message', { get: () => no() }); } };",
    HOOK,
    'register',
  ),
  'register-pretends': platform(
    "its `register` threw an error with the code ERR_PROFILE_INVALID, which is not a plugin's: the profile is bad",
    `export default { ...offset, register() {
  throw Object.assign(new Error('the profile is bad'), { code: 'ERR_PROFILE_INVALID', hint: 'x' }); } };`,
    HOOK,
    'register',
  ),
  'register-exits': platform(
    'its `register` called process.exit(7), which would end the command',
    'export default { ...offset, register: () => process.exit(7) };',
    EXIT,
    'register',
  ),
  'register-binds-nothing': platform(
    'its `register` did not bind PLATFORM',
    'export default { ...offset, register() {} };',
    'ERR_PLUGIN_MISSING_BINDING',
  ),
  'register-binds-number': platform(
    'its `PLATFORM` gave 42, not an object',
    'export default { ...offset, ...binding(PLATFORM, 42) };',
    CONTRACT,
    'PLATFORM',
  ),
  'machine-without-boot': machine(
    'its `MACHINE` gave an object with the wrong boot (a function, not undefined)',
    "export default { ...simulated, ...binding(MACHINE, { name: 'half' }) };",
    CONTRACT,
    'MACHINE',
  ),
  'constructor-throws': platform(
    'its `constructor` threw: no',
    'export default platform(() => no());',
    HOOK,
    'constructor',
  ),
  'simulate-throws': platform(
    'its `simulate` threw: no',
    'export default { ...offset, simulate: () => no() };',
    HOOK,
    'simulate',
  ),
  'simulate-nonsense': platform(
    'its `simulate` gave an object with the wrong facilities (a Map, not an object)',
    'export default { ...offset, simulate: () => ({ facilities: {}, addressSpace() {} }) };',
    CONTRACT,
    'simulate',
  ),
  'space-nonsense': platform(
    'its `addressSpace.open` gave undefined, not an object',
    'export default space(() => undefined);',
    CONTRACT,
    'addressSpace.open',
  ),
  'boot-rejects': machine('its `boot` threw: no', 'export default machine(async () => no());', HOOK, 'boot'),
  'boot-nothing': machine(
    'its `boot` gave undefined, not an object',
    'export default machine(async () => {});',
    CONTRACT,
    'boot',
  ),
  'boot-half': machine(
    'its `boot` gave an object with the wrong transport (a transport, not undefined)',
    'export default booted((right) => ({ ...right, transport: undefined }));',
    CONTRACT,
    'boot',
  ),
  'boot-never-ends': machine(
    'its `boot` never settles: nothing is left that could settle it',
    'export default machine(never);',
    TIMEOUT,
    'boot',
  ),
  'traits-missing': platform(
    'its `traits` is undefined, not an object',
    'export default having({ traits: undefined });',
    CONTRACT,
    'traits',
  ),
  'traits-wrong': platform(
    'its `traits` gave an object with the wrong isolates (true or false, not "no")',
    "export default traits({ isolates: 'no' });",
    CONTRACT,
    'traits',
  ),
  'traits-contradict': platform(
    'its `traits` contradict each other: confinesEveryDevice without isolates',
    'export default traits({ confinesEveryDevice: true });',
    CONTRACT,
    'traits',
  ),
  'traits-throw': platform(
    'its `traits` threw: no',
    'export default having({ get traits() { return no(); } });',
    HOOK,
    'traits',
  ),
  'rules-missing': platform(
    'its `rules` is undefined, not a list',
    'export default having({ rules: undefined });',
    CONTRACT,
    'rules',
  ),
  'rule-stage': platform(
    'its `rules[0]` gave an object with the wrong stage (one of interface, assignment, candidates, ' +
      'restricted-memory, access, validate, not "later")',
    "export default rule({ stage: 'later' });",
    CONTRACT,
    'rules[0]',
  ),
};

/** Plugins that are wrong while a run is under way. */
const RUNNING: Readonly<Record<string, BrokenPlugin>> = {
  'rule-throws': platform(
    'its `rules: own` threw: no',
    'export default rule({ apply: () => no() });',
    HOOK,
    'rules: own',
  ),
  'rule-promise': platform(
    'its `rules: own` returned a Promise: a rule decides at once',
    'export default rule({ apply: async () => {} });',
    CONTRACT,
    'rules: own',
  ),
  'rule-refuses-nonsense': platform(
    'its `rules: own` refused with code undefined and reason undefined',
    'export default rule({ apply: (negotiation) => negotiation.refuse() });',
    CONTRACT,
    'rules: own',
  ),
  'mapping-nonsense': platform(
    'its `openMapping` gave undefined, not an object',
    'export default mapping(() => undefined);',
    CONTRACT,
    'openMapping',
  ),
  'mapping-half': platform(
    'its `openMapping` gave an object with the wrong unmap (a function, not null)',
    'export default mappingWith({ unmap: null });',
    CONTRACT,
    'openMapping',
  ),
  'open-mapping-throws': platform(
    'its `openMapping` threw: no',
    'export default mapping(() => no());',
    HOOK,
    'openMapping',
  ),
  'map-throws': {
    ...platform('its `map` threw: no', 'export default mappingWith({ map() { no(); } });', HOOK, 'map'),
    streaming: true,
  },
  'map-nan': {
    ...platform(
      'its `map` returned NaN, which is neither an id from 0 to 0x7fffffff nor a DMA_* reason',
      'export default mappingWith({ map: () => NaN });',
      CONTRACT,
      'map',
    ),
    streaming: true,
  },
  'map-reason': {
    ...platform(
      'its `map` returned -77, which is neither an id from 0 to 0x7fffffff nor a DMA_* reason',
      'export default mappingWith({ map: () => -77 });',
      CONTRACT,
      'map',
    ),
    streaming: true,
  },
  'unmap-throws': {
    ...platform('its `unmap` threw: no', 'export default mappingWith({ unmap() { no(); } });', HOOK, 'unmap'),
    streaming: true,
  },
  'map-throws-undefined': {
    ...platform(
      'it, @virtio-platform/machine-simulated or block threw undefined, which is no Error and has no stack',
      'export default mappingWith({ map() { throw undefined; } });',
      HOOK,
    ),
    streaming: true,
  },
  'coherent-outside': platform(
    'its `allocateCoherent` returned 1680 bytes at 0x7fffffff000, outside guest memory of 16777216 bytes',
    `export default mapping((right) => { const allocate = right.allocateCoherent.bind(right);
right.allocateCoherent = (length, alignment) => Object.assign(allocate(length, alignment), { address: 0x7fffffff000 });
return right; });`,
    CONTRACT,
    'allocateCoherent',
  ),
  'premap-nan': platform(
    'its `premap` returned a region at NaN, which is no address',
    `export default mapping((right) => { const premap = right.premap.bind(right);
right.premap = (...buffer) => Object.assign(premap(...buffer), { address: NaN }); return right; });`,
    CONTRACT,
    'premap',
  ),
  'sync-throws': platform(
    'its `syncForDevice` threw: no',
    `export default mapping((right) => { const premap = right.premap.bind(right);
right.premap = (...buffer) => Object.assign(premap(...buffer), { syncForDevice() { no(); } }); return right; });`,
    HOOK,
    'syncForDevice',
  ),
  'recorded-faults': platform(
    'its `recordedFaults` returned "none", not a list',
    "export default having({ recordedFaults: () => 'none' });",
    CONTRACT,
    'recordedFaults',
  ),
  'address-ranges': platform(
    'its `addressRanges` gave an object with the wrong kind (window, pool or interrupts, not "interrupt")',
    `export default having({ addressRanges: [
  { what: 'range', kind: 'interrupts', deviceAddress: 0n, length: 16, ofEveryDevice: true },
  { what: 'range', kind: 'interrupt', deviceAddress: 16n, length: 16 },
] });`,
    CONTRACT,
    'addressRanges',
  ),
  'address-ranges-of': platform(
    'its `addressRanges` gave an object with the wrong ofEveryDevice (true or false, or nothing, not "some")',
    "export default having({ addressRanges: [{ what: 'range', kind: 'interrupts', deviceAddress: 0n, length: 1, ofEveryDevice: 'some' }] });",
    CONTRACT,
    'addressRanges',
  ),
  'bounce-pool': platform(
    'its `bouncePool` gave an object with the wrong slots (a whole number from 0 on, not "many")',
    "export default having({ bouncePool: { slots: 'many', used: 0, highWater: 0, exhausted: 0 } });",
    CONTRACT,
    'bouncePool',
  ),
  'translate-throws': platform(
    'its `translate` threw: no',
    'export default translation(function translate() { no(); }, 1);',
    HOOK,
    'translate',
  ),
  'translate-nan': platform(
    'its `translate` returned NaN, which is no address',
    'export default translation(() => NaN, 64);',
    CONTRACT,
    'translate',
  ),
  'translate-run': platform(
    'its `translate` set a run of NaN bytes',
    'export default translation(() => 0, NaN);',
    CONTRACT,
    'translate',
  ),
  'borrow-throws-range': platform(
    'its `borrow` threw: not mine',
    `export default space((memory, faults, state) => Object.assign(rightSpace(memory, faults, state), {
  borrow() { throw new RangeError('not mine'); } }));`,
    HOOK,
    'borrow',
  ),
  'space-exits': platform(
    'its `read` called process.exit(1), which would end the command',
    `export default space((memory, faults, state) => Object.assign(rightSpace(memory, faults, state), {
  read() { process.exit(1); } }));`,
    EXIT,
    'read',
  ),
  'worker-translate-throws': {
    ...platform(
      'its `translate` threw: no',
      `export const openAddressSpace = (memory, faults) => new TranslatedAddressSpace(memory, faults, {
  generation: 0, cause: 'unmapped', run: 1, translate() { no(); } });
export default inWorker();`,
      HOOK,
      'translate',
    ),
    inWorker: true,
  },
  'worker-space-throws': {
    ...platform(
      'its `openAddressSpace` threw: no',
      'export function openAddressSpace() { no(); }\nexport default inWorker();',
      HOOK,
      'openAddressSpace',
    ),
    inWorker: true,
  },
  'worker-exits': {
    ...platform(
      'its `openAddressSpace` called process.exit(9), which would end the command',
      'export function openAddressSpace() { process.exit(9); }\nexport default inWorker();',
      EXIT,
      'openAddressSpace',
    ),
    inWorker: true,
  },
  'worker-never-loads': {
    ...platform(
      'its `addressSpace.module` never finishes loading (a top-level await of it never settles)',
      `import { isMainThread } from 'node:worker_threads';
if (!isMainThread) await never();
export const openAddressSpace = rightSpace;
export default inWorker();`,
      CONTRACT,
      'addressSpace.module',
    ),
    inWorker: true,
  },
  'worker-exports-nothing': {
    ...platform(
      'its `addressSpace.module` exports undefined as openAddressSpace, not a function',
      'export default inWorker();',
      CONTRACT,
      'addressSpace.module',
    ),
    inWorker: true,
  },
  'status-nonsense': machine(
    'its `readStatus` returned "ready", not a status of 8 bits',
    "export default transport({ readStatus: () => 'ready' });",
    CONTRACT,
    'readStatus',
  ),
  'features-nonsense': machine(
    'its `readDeviceFeatures` returned 7, not a FeatureSet',
    'export default transport({ readDeviceFeatures: () => 7 });',
    CONTRACT,
    'readDeviceFeatures',
  ),
  'queue-size-nonsense': machine(
    'its `maxQueueSize` returned NaN, no number of entries',
    'export default transport({ maxQueueSize: () => NaN });',
    CONTRACT,
    'maxQueueSize',
  ),
  'notify-throws': machine(
    'its `notify` threw: no',
    'export default transport({ notify() { no(); } });',
    HOOK,
    'notify',
  ),
  'wait-nonsense': machine(
    'its `wait` returned "soon", not notified, timeout or lost',
    "export default transport({ notify() {}, wait: () => 'soon' });",
    CONTRACT,
    'wait',
  ),
  'faults-nonsense': machine(
    'its `faults` has null, which is no fault',
    'export default booted((right) => { right.faults.entries.push(null); return right; });',
    CONTRACT,
    'faults',
  ),
  'timer-throws': machine(
    'its code threw: thrown beside the run',
    `export default machine(async (right) => { setTimeout(() => no('thrown beside the run'), 1);
await new Promise((resolve) => setTimeout(resolve, 30)); return right.boot(); });`,
    HOOK,
  ),
  'rejects-unhandled': platform(
    'its `openMapping` threw: rejected beside the run',
    `export default mapping((right) => { const openMapping = async () => no('rejected beside the run'); openMapping();
return right; });`,
    HOOK,
    'openMapping',
  ),
  'dispose-throws': platform(
    'its `dispose` threw: no',
    'export default having({ dispose: () => no() });',
    HOOK,
    'dispose',
  ),
  'dispose-never-ends': machine(
    'its `dispose` never settles: nothing is left that could settle it',
    'export default booted((right) => ({ ...right, dispose: never }));',
    TIMEOUT,
    'dispose',
  ),
  'mapping-dispose-throws': platform(
    'its `dispose` threw: no',
    'export default mappingWith({ dispose() { no(); } });',
    HOOK,
    'dispose',
  ),
};

/** Platforms and machines, each with one mistake. */
export const BROKEN_PLUGINS: Readonly<Record<string, BrokenPlugin>> = {
  ...LOADING,
  ...CHECKING,
  ...COMPOSING,
  ...RUNNING,
};
