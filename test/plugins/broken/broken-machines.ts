import { openSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { MACHINE, type BootedMachine, type MachinePlugin, type MachineRequest } from '@virtio-platform/core';
import { MACHINE_REQUEST } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace, type FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import simulated from '@virtio-platform/machine-simulated';
import type { DependencyContainer } from 'tsyringe';

/** A machine plugin with one thing wrong, and the check of the suite that catches it. */
export interface BrokenMachine {
  /** Completes the sentence "a machine that ...". */
  readonly wrong: string;
  readonly check: string;
  readonly plugin: MachinePlugin;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- options only pass through
const SOUND = simulated as unknown as MachinePlugin;

interface Change {
  /** Another request than the machine was asked for. */
  readonly request?: (request: MachineRequest) => MachineRequest;
  readonly booted?: (booted: BootedMachine) => Partial<BootedMachine>;
  /** In place of the sound machine's boot. */
  readonly boot?: (sound: () => Promise<BootedMachine>) => Promise<BootedMachine>;
  readonly name?: string;
}

function machine(wrong: string, check: string, change: Change): BrokenMachine {
  return {
    wrong,
    check,
    plugin: {
      ...SOUND,
      register(container, options) {
        container.register(MACHINE, {
          useFactory: (bound: DependencyContainer) => {
            const own = bound.createChildContainer();
            const request = bound.resolve(MACHINE_REQUEST);
            own.registerInstance(MACHINE_REQUEST, change.request?.(request) ?? request);
            SOUND.register(own, options);
            const sound = own.resolve(MACHINE);
            const boot = async (): Promise<BootedMachine> => {
              const booted = await sound.boot();
              return { ...booted, dispose: () => booted.dispose(), ...change.booted?.(booted) };
            };
            return { name: change.name ?? sound.name, boot: () => (change.boot ?? ((next) => next()))(boot) };
          },
        });
      },
    },
  };
}

function plugin(wrong: string, check: string, change: Partial<MachinePlugin>): BrokenMachine {
  return { wrong, check, plugin: { ...SOUND, ...change } };
}

/** The transport with some of its methods replaced. */
function transport(wrong: string, check: string, change: (sound: BootedMachine['transport']) => object): BrokenMachine {
  return machine(wrong, check, {
    booted: (booted) => ({
      transport: new Proxy(booted.transport, {
        get(target, key) {
          const changed = change(target);
          const value: unknown = Reflect.has(changed, key)
            ? Reflect.get(changed, key)
            : Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
    }),
  });
}

/** Takes the low word of each device address for a physical one. */
function openLowWords(memory: GuestMemory, faults: FaultLog): DeviceAddressSpace {
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, faults, undefined);
  return {
    memory,
    faults,
    generation: 0,
    read: (low, _high, ...rest) => space.read(low, 0, ...rest),
    write: (low, _high, ...rest) => space.write(low, 0, ...rest),
    borrow: (low, _high, ...rest) => space.borrow(low, 0, ...rest),
  };
}

const OPTIONS = 'checks its options with a Standard Schema that refuses what it does not know';
const ENDS = 'ends everything that it started, also when it is disposed twice';
const FACILITIES = 'gives the platform its facilities';
const CARRIES = 'carries requests to its device and back';
const ONCE = 'simulates the hardware of the platform once, over its own memory';
const AS_ASKED = 'boots with the memory and the device that it is asked for';
const UNBOOTED = 'binds a machine of its own name, and starts nothing before it boots';
const MISSING = 'says what is missing on this computer, and what to do';
const KEPT: { booted?: BootedMachine } = {};
let asked = 0;

/** Every broken machine, with the check that catches it. */
export const BROKEN_MACHINES: readonly BrokenMachine[] = [
  plugin('is of another kind', 'says what it is', { kind: 'platform' as 'machine' }),
  plugin('takes any option', OPTIONS, {
    options: { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } },
  }),
  plugin('does not say which option is wrong', 'names the option that is wrong', {
    options: { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'wrong' }] }) } },
  }),
  plugin(
    'checks the same options to another value',
    'checks the same options to the same value, and changes nothing of what it is given',
    { options: { '~standard': { version: 1, vendor: 'test', validate: () => ({ value: { asked: asked++ } }) } } },
  ),
  plugin('renames an option to one that it does not have', 'renames options to names that its schema knows', {
    renamedOptions: { thread: 'wroker' },
  }),
  plugin('renames an option that it still has', 'renames options to names that its schema knows', {
    renamedOptions: { device: 'onFault' },
  }),
  plugin('provides a facility without a name', 'names the facilities that it provides', { provides: [Symbol('')] }),
  plugin('misses something and does not say what to do', MISSING, {
    missing: async () => [{ what: 'a program', fix: '' }],
  }),
  plugin('throws instead of saying what is missing', MISSING, {
    missing: async () => {
      throw new Error('not installed');
    },
  }),
  plugin('starts a program without a name', 'lists the programs that it starts', { programs: () => [''] }),
  plugin('discovers a device without a name', 'discovers what its options could name', {
    discover: async () => ({ missing: [], devices: [{ name: '', what: 'virtio', details: {}, missing: [] }] }),
  }),
  plugin('lacks a facility for no reason', 'says what it lacks with its options, and what its hardware is', {
    provides: [Symbol.for('test:Table')],
    facilityProblem: () => ({ message: '', hint: '' }),
  }),
  plugin('refuses the memory that it boots with', 'takes the memory that it is booted with', {
    memoryProblem: () => ({ what: 'too much', fix: 'less' }) as never,
  }),
  plugin('has its device on a bus that does not exist', 'says on which transport its device is', {
    transport: () => 'usb' as never,
  }),
  machine('has another name than its plugin', UNBOOTED, { name: 'other' }),
  plugin('binds nothing', UNBOOTED, { register: () => {} }),
  plugin('opens a file when it is bound', UNBOOTED, {
    register(container, options) {
      openSync('/dev/null', 'r');
      SOUND.register(container, options);
    },
  }),
  machine('has twice the memory', AS_ASKED, {
    request: (request) => ({ ...request, memory: 2 * request.memory }),
  }),
  transport('boots a device of another type', AS_ASKED, () => ({ deviceId: 1 })),
  machine('ignores what the profile offers', 'offers no more than the profile lets the device offer', {
    request: (request) => ({ ...request, device: { ...request.device, offers: undefined } }),
  }),
  machine('forgets the facilities', FACILITIES, { booted: () => ({ facilities: new Map() }) }),
  machine('gives the platform another facility', FACILITIES, {
    booted: ({ facilities }) => ({ facilities: new Map([...facilities.keys()].map((key) => [key, {}])) }),
  }),
  machine('simulates the hardware twice', ONCE, {
    request: (request) => ({
      ...request,
      simulate(memory) {
        request.simulate!(memory);
        return request.simulate!(memory);
      },
    }),
  }),
  machine('simulates over memory of its own', ONCE, {
    request: (request) => ({
      ...request,
      simulate: () => request.simulate!(new GuestMemory(new SharedArrayBuffer(request.memory))),
    }),
  }),
  machine('is booted once for all', 'boots two machines that share nothing', {
    boot: async (sound) => ({ ...(KEPT.booted ??= await sound()), dispose: async () => {} }),
  }),
  transport('loses notifications of the driver', CARRIES, () => ({ notify: () => {} })),
  transport('tells a driver that watches once', 'tells a driver that watches of each notification', (sound) => ({
    watch(listener: () => void) {
      let isTold = false;
      sound.watch!(() => {
        if (!isTold) listener();
        isTold = true;
      });
    },
  })),
  transport('says that its queues are reset', CARRIES, () => ({ isQueueReset: () => true })),
  machine('lets its device reach physical memory', 'lets its device reach only what the platform allows', {
    request: (request) => ({
      ...request,
      simulate: (memory) => ({ ...request.simulate!(memory), addressSpace: () => ({ state: {}, open: openLowWords }) }),
    }),
  }),
  machine('leaves a program running', ENDS, {
    boot: async (sound) => {
      spawn('sleep', ['20'], { stdio: 'ignore' }).unref();
      return sound();
    },
  }),
  machine('leaves a descriptor open', ENDS, {
    boot: async (sound) => {
      openSync('/dev/null', 'r');
      return sound();
    },
  }),
  machine('cannot be disposed twice', ENDS, {
    booted(booted) {
      let isDisposed = false;
      return {
        async dispose() {
          if (isDisposed) throw new Error('disposed');
          isDisposed = true;
          await booted.dispose();
        },
      };
    },
  }),
  machine('leaves a descriptor open when it cannot boot', 'leaves nothing when it cannot boot', {
    boot: async (sound) => {
      const descriptor = openSync('/dev/null', 'r');
      const booted = await sound();
      return { ...booted, dispose: async () => (await import('node:fs')).closeSync(descriptor) };
    },
  }),
  machine('boots without the hardware of the platform', 'leaves nothing when it cannot boot', {
    request: (request) => ({
      ...request,
      simulate: () => ({ facilities: new Map(), addressSpace: () => PHYSICAL_ADDRESS_SPACE }),
    }),
  }),
];
