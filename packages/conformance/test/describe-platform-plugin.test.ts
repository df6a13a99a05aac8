import {
  definePlatformPlugin,
  PLATFORM,
  PLUGIN_API_VERSION,
  type Platform,
  type PlatformPlugin,
  type SimulatedHardware,
} from '@virtio-platform/core';
import {
  PHYSICAL_ADDRESS_SPACE,
  type AddressSpaceBlueprint,
  type DeviceAddressSpace,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { DirectDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { GUEST_MEMORY } from '@virtio-platform/core';
import type { DependencyContainer } from 'tsyringe';
import { describe, expect, it } from 'vitest';
import {
  describePlatformPlugin,
  findCheck,
  PLATFORM_PLUGIN_CHECKS,
  PoisoningDmaMapping,
} from '@virtio-platform/conformance';

const CONTROLLER = Symbol.for('@virtio-platform/conformance:test:Controller');

/** A memory controller that gives each request a copy: the facility of a platform that exists only in this test. */
interface Controller {
  open(capacity: number): DmaMapping;
}

interface Wrong {
  readonly plugin?: Partial<PlatformPlugin>;
  readonly platform?: Partial<Platform>;
  readonly hardware?: Partial<SimulatedHardware>;
  /** All queues get one and the same mapping. */
  readonly sharesMapping?: boolean;
}

/** The platform of the test, with something wrong in it if asked for. */
function copyingPlugin(wrong: Wrong = {}): PlatformPlugin {
  return definePlatformPlugin<unknown>({
    kind: 'platform',
    name: 'copying',
    apiVersion: PLUGIN_API_VERSION,
    options: {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) =>
          typeof value === 'object' && value !== null && Object.keys(value).length === 0
            ? { value }
            : { issues: [{ message: 'no options here' }] },
      },
    },
    needs: [CONTROLLER],
    register(container) {
      container.register(PLATFORM, {
        useFactory: (resolver: DependencyContainer) => {
          const controller = resolver.resolve<Controller>(CONTROLLER);
          const platform: Platform = {
            name: 'copying',
            traits: {
              restrictedMemory: false,
              isolates: true,
              mappedPath: 'bounced+translated',
              identityVerified: undefined,
              addressMeaning: 'the address of a copy',
            },
            rules: [],
            guestByteOrder: 'little',
            openMapping: (_path, { capacity }) => controller.open(capacity),
            dispose: () => {},
            ...wrong.platform,
          };
          return platform;
        },
      });
    },
    simulate(memory) {
      const mappings: PoisoningDmaMapping[] = [];
      const controller: Controller = {
        open(capacity) {
          const [shared] = mappings;
          if (wrong.sharesMapping === true && shared !== undefined) return shared;
          const firstAddress = (FIRST_HIGH_WORD + mappings.length) * 2 ** 32;
          const mapping = new PoisoningDmaMapping(memory, { capacity, firstAddress });
          mappings.push(mapping);
          return mapping;
        },
      };
      const space: AddressSpaceBlueprint = {
        state: undefined,
        open: (_memory, faults) => lateSpace(memory, faults, mappings),
      };
      return {
        facilities: new Map([[CONTROLLER, controller]]),
        guestByteOrder: 'little',
        addressSpace: () => space,
        ...wrong.hardware,
      };
    },
    ...wrong.plugin,
  });
}

/** The high word of the device addresses of the first mapping; each mapping has one of its own. */
const FIRST_HIGH_WORD = 256;

/** The device's view of mappings that are opened later than the device is. */
function lateSpace(
  memory: GuestMemory,
  faults: FaultLog,
  mappings: readonly PoisoningDmaMapping[],
): DeviceAddressSpace {
  const opened: DeviceAddressSpace[] = [];
  const behind = (high: number): DeviceAddressSpace => {
    const i = high - FIRST_HIGH_WORD;
    return (opened[i] ??= mappings[i]!.openAddressSpace(faults));
  };
  return {
    memory,
    faults,
    get generation() {
      return mappings.reduce((sum, _mapping, i) => sum + behind(FIRST_HIGH_WORD + i).generation, mappings.length);
    },
    read: (low, high, ...rest) => behind(high).read(low, high, ...rest),
    write: (low, high, ...rest) => behind(high).write(low, high, ...rest),
    borrow: (low, high, ...rest) => behind(high).borrow(low, high, ...rest),
  };
}

describePlatformPlugin(copyingPlugin());

const traits = {
  restrictedMemory: false,
  isolates: true,
  mappedPath: 'bounced+translated',
  identityVerified: undefined,
  addressMeaning: 'the address of a copy',
} as const;

const BROKEN: [check: string, wrong: string, what: Wrong][] = [
  ['says what it is', 'has a name with spaces', { plugin: { name: 'My Platform' } }],
  ['says what it is', 'is of another version', { plugin: { apiVersion: 99 } }],
  [
    'checks its options with a Standard Schema that refuses what it does not know',
    'takes anything',
    { plugin: { options: { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } } } },
  ],
  ['simulates every facility that it needs', 'leaves one out', { hardware: { facilities: new Map() } }],
  [
    'binds a platform of its own name, with traits that make sense',
    'binds nothing',
    { plugin: { register: () => {} } },
  ],
  [
    'binds a platform of its own name, with traits that make sense',
    'has another name',
    { platform: { name: 'other' } },
  ],
  [
    'names each of its rules once, with a source',
    'takes the name of a core rule',
    { platform: { rules: [{ name: 'driver-supports', source: 'me', stage: 'access', apply: () => {} }] } },
  ],
  [
    'opens mappings of the path that its traits state',
    'states another',
    { platform: { traits: { ...traits, mappedPath: 'linear' } } },
  ],
  [
    'claims identity only where a probe finds it',
    'takes it for granted',
    { platform: { traits: { ...traits, mappedPath: 'identity', identityVerified: true } } },
  ],
  ['keeps the mappings of two queues apart', 'has one for all', { sharesMapping: true }],
  [
    'carries a split ring and its buffers, without a fault and with nothing left over',
    'shows the device physical addresses',
    { hardware: { addressSpace: () => PHYSICAL_ADDRESS_SPACE } },
  ],
  [
    'carries a packed ring and its buffers, without a fault and with nothing left over',
    'shows the device physical addresses',
    { hardware: { addressSpace: () => PHYSICAL_ADDRESS_SPACE } },
  ],
];

describe('PLATFORM_PLUGIN_CHECKS', () => {
  it.each(BROKEN)('catch in "%s" a plugin that %s', async (name, _wrong, what) => {
    const check = findCheck(PLATFORM_PLUGIN_CHECKS, name);
    const subject = { plugin: copyingPlugin(what), options: {}, memory: 1 << 20 };
    await expect(Promise.resolve(subject).then((tried) => check.run(tried))).rejects.toBeInstanceOf(Error);
  });

  it('catch a platform that keeps memory of the guest', async () => {
    const check = findCheck(
      PLATFORM_PLUGIN_CHECKS,
      'carries a split ring and its buffers, without a fault and with nothing left over',
    );
    const plugin = copyingPlugin();
    let guest: GuestMemory | undefined;
    const leaking: PlatformPlugin = {
      ...plugin,
      register(container, options) {
        plugin.register(container, options);
        guest?.allocate(16);
      },
      simulate(memory, options) {
        guest = memory;
        return plugin.simulate!(memory, options);
      },
    };
    const run = async (tried: PlatformPlugin): Promise<void> =>
      check.run({ plugin: tried, options: {}, memory: 1 << 20 });
    await run(plugin);
    await expect(run(leaking)).rejects.toThrow('all guest memory is given back');
  });

  it('are each shown to catch a broken plugin', () => {
    expect([...new Set(BROKEN.map(([name]) => name))].toSorted()).toEqual(
      PLATFORM_PLUGIN_CHECKS.map(({ name }) => name).toSorted(),
    );
  });

  it('accept a platform without an IOMMU whose identity was probed', async () => {
    const plugin = copyingPlugin({
      plugin: {
        needs: [],
        register(container) {
          container.register(PLATFORM, {
            useFactory: (resolver: DependencyContainer): Platform => ({
              name: 'copying',
              traits: { ...traits, mappedPath: 'identity', identityVerified: true },
              rules: [],
              guestByteOrder: 'little',
              openMapping: (_path, { capacity }) =>
                new DirectDmaMapping(resolver.resolve(GUEST_MEMORY), { path: 'identity', capacity }),
              dispose: () => {},
            }),
          });
        },
      },
      hardware: { addressSpace: () => PHYSICAL_ADDRESS_SPACE },
    });
    const results = PLATFORM_PLUGIN_CHECKS.map(async (check) => check.run({ plugin, options: {}, memory: 1 << 20 }));
    await expect(Promise.all(results)).resolves.toHaveLength(PLATFORM_PLUGIN_CHECKS.length);
  });
});
