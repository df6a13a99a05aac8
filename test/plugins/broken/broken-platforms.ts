import type { Platform, PlatformPlugin, SimulatedHardware } from '@virtio-platform/core';
import { PLATFORM } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE, type AddressSpaceBlueprint } from '@virtio-platform/core/address-space';
import {
  DMA_UNREACHABLE,
  ForwardingDmaMapping,
  type DmaMapping,
  type DmaRegion,
  type DmaStatistics,
} from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';
import intelIommu from '@virtio-platform/platform-intel-iommu';
import legacy from '@virtio-platform/platform-legacy';
import sev from '@virtio-platform/platform-sev';
import type { DependencyContainer } from 'tsyringe';
import { XEN_GRANTS } from '../../decision-table/outside-platforms.ts';
import { pagedPlugin, type Wrong } from './paged-platform.ts';

/** A platform plugin with one thing wrong, and the check of the suite that catches it. */
export interface BrokenPlatform {
  /** Completes the sentence "a platform that ...". */
  readonly wrong: string;
  readonly check: string;
  readonly plugin: PlatformPlugin;
  readonly options?: object;
}

function paged(wrong: string, check: string, what: Wrong): BrokenPlatform {
  return { wrong, check, plugin: pagedPlugin(what) };
}

/** A sound plugin whose platform is changed by `change`. */
function withPlatform<Options>(
  plugin: PlatformPlugin<Options>,
  change: (platform: Platform, memory: () => GuestMemory) => Partial<Platform>,
): PlatformPlugin {
  let memory: GuestMemory;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- options only pass through
  const sound = plugin as unknown as PlatformPlugin;
  return {
    ...sound,
    simulate(guest, options) {
      memory = guest;
      return sound.simulate!(guest, options);
    },
    register(container, options) {
      const inner: { current?: Platform } = {};
      container.register(PLATFORM, {
        useFactory: (bound: DependencyContainer) => {
          const own = bound.createChildContainer();
          sound.register(own, options);
          const platform = (inner.current = own.resolve(PLATFORM));
          return new Proxy(platform, {
            get(target, key) {
              const changed = change(platform, () => memory);
              const value: unknown = Reflect.has(changed, key)
                ? Reflect.get(changed, key)
                : Reflect.get(target, key, target);
              return typeof value === 'function' ? value.bind(target) : value;
            },
          });
        },
      });
    },
  };
}

/** A sound plugin whose simulated hardware is changed by `change`. */
function withHardware<Options>(
  plugin: PlatformPlugin<Options>,
  change: (hardware: SimulatedHardware, memory: GuestMemory) => Partial<SimulatedHardware>,
): PlatformPlugin {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- options only pass through
  const sound = plugin as unknown as PlatformPlugin;
  return {
    ...sound,
    simulate(memory, options) {
      const hardware = sound.simulate!(memory, options);
      return {
        facilities: hardware.facilities,
        guestByteOrder: hardware.guestByteOrder ?? 'little',
        addressSpace: (offers) => hardware.addressSpace(offers),
        ...change(hardware, memory),
      };
    },
  };
}

/** The paged platform with a changed blueprint. */
function blueprint(change: (sound: AddressSpaceBlueprint) => AddressSpaceBlueprint): PlatformPlugin {
  return withHardware(pagedPlugin(), (hardware) => ({
    addressSpace: (offers) => (offers ? change(hardware.addressSpace(true)) : hardware.addressSpace(false)),
  }));
}

function rule(change: Partial<NegotiationRule>): Wrong {
  const sound: NegotiationRule = { name: 'own-rule', source: 'this test', stage: 'access', apply: () => {} };
  return { platform: { rules: [{ ...sound, ...change }] } };
}

function schema(validate: PlatformPlugin['options']['~standard']['validate']): Wrong {
  return { plugin: { options: { '~standard': { version: 1, vendor: 'test', validate } } } };
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

const OPTIONS_CHECK = 'checks its options with a Standard Schema that refuses what it does not know';
const SAME_OPTIONS = 'checks the same options to the same value, and changes nothing of what it is given';
const TRAITS_CHECK = 'binds a platform of its own name, with traits that make sense';
const RULES_CHECK = 'names each of its rules once, with a source';
const DECIDES = 'decides the same for the same device, and never throws';
const THREAD = 'shows a device in another thread the same memory';
const PRIVATE = 'keeps private memory from the device';
const LEAKS = 'counts as leaked what the device keeps borrowed, until its reset';
const SHARED_DEFAULTS: Record<string, unknown> = { size: 1 };
let answers = 0;
let applied = 0;
const MODULE_STATE: { platform?: Platform } = {};

/** Counts each mapping as leaked that it gives back. */
class LeakCounting extends ForwardingDmaMapping {
  #leaked = 0;

  override get statistics(): DmaStatistics {
    return { ...super.statistics, leaked: this.#leaked };
  }

  override unmap(id: number, written: number): void {
    super.unmap(id, written);
    this.#leaked++;
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    const region = super.allocateCoherent(length, alignment);
    const release = (): void => {
      region.release();
      this.#leaked++;
    };
    return regionWith(region, { release });
  }
}

/** The static side, the binding and the rules. */
const STATIC: readonly BrokenPlatform[] = [
  paged('has a name with spaces', 'says what it is', { plugin: { name: 'My Platform' } }),
  paged('is of another API version', 'says what it is', { plugin: { apiVersion: 99 } }),
  paged(
    'takes any option',
    OPTIONS_CHECK,
    schema((value) => ({ value })),
  ),
  paged(
    'takes a list for options',
    OPTIONS_CHECK,
    schema((value) =>
      (Array.isArray(value) ? value.length === 0 : isEmpty(value)) ? { value } : { issues: [{ message: 'no' }] },
    ),
  ),
  paged(
    'does not say which option is wrong',
    'names the option that is wrong',
    schema((value) => (isEmpty(value) ? { value: {} } : { issues: [{ message: 'invalid options' }] })),
  ),
  paged(
    'counts how often its options are checked',
    SAME_OPTIONS,
    schema((value) => (isEmpty(value) ? { value: { answers: answers++ } } : { issues: [{ message: 'no' }] })),
  ),
  paged(
    'hands out its defaults themselves',
    SAME_OPTIONS,
    schema((value) => (isEmpty(value) ? { value: SHARED_DEFAULTS } : { issues: [{ message: 'no' }] })),
  ),
  paged('renames an option to one that it does not have', 'renames options to names that its schema knows', {
    plugin: { renamedOptions: { old: 'new' } },
  }),
  paged('needs a requester id for nothing', 'says what it needs a requester id for', {
    plugin: { needsRequesterId: () => '' },
  }),
  paged('needs a facility without a name', 'names the facilities that it needs', { plugin: { needs: [Symbol('')] } }),
  {
    wrong: 'reads an option of its simulated hardware itself',
    check: 'reads in `simulate` alone what it calls simulated',
    plugin: withPlatform({ ...intelIommu, simulatedOptions: ['addressWidth'] }, () => ({})),
  },
  paged('leaves a facility out', 'simulates every facility that it needs', { hardware: { facilities: new Map() } }),
  paged('binds nothing', TRAITS_CHECK, { plugin: { register: () => {} } }),
  paged('has another name than its plugin', TRAITS_CHECK, { platform: { name: 'other' } }),
  paged('states a path that is none', TRAITS_CHECK, { traits: { mappedPath: 'teleported' as 'linear' } }),
  paged('states 65 address bits', TRAITS_CHECK, { traits: { addressBits: 65 } }),
  paged('takes the name of a core rule', RULES_CHECK, rule({ name: 'driver-supports' })),
  paged('has a rule without a source', RULES_CHECK, rule({ source: '' })),
  paged('has a rule in a closed stage', RULES_CHECK, rule({ stage: 'path' })),
  paged('has a rule in a stage that is none', RULES_CHECK, rule({ stage: 'later' as 'access' })),
  paged('has a rule that throws', DECIDES, rule({ apply: () => assertNever() })),
  paged(
    'has a rule that decides by turns',
    DECIDES,
    rule({
      apply(negotiation) {
        if (applied++ % 2 === 0) negotiation.refuse('ENODEV', 'not this time');
      },
    }),
  ),
  paged(
    'has a rule that refuses without a reason',
    DECIDES,
    rule({ apply: (negotiation) => negotiation.refuse('EINVAL', '') }),
  ),
  paged('states another path than its mappings have', 'opens mappings of the path that its traits state', {
    traits: { mappedPath: 'linear' },
  }),
  {
    wrong: 'opens no mapping',
    check: 'opens a mapping for every path that negotiation chooses',
    plugin: withPlatform(pagedPlugin(), () => ({
      openMapping(path) {
        throw new TypeError(`no mapping for ${path}`);
      },
    })),
  },
  paged('takes identity for granted', 'claims identity only where a probe finds it', {
    traits: { mappedPath: 'identity', identityVerified: true },
  }),
  paged('claims to reach all memory', 'claims to reach all memory only where the device does', {
    traits: { reachesAllMemory: true },
  }),
  paged('claims physical slots', 'claims physical slots only where a probe finds them', {
    traits: { bounceIsPhysical: true },
  }),
  paged('has another byte order than its guest', 'has the byte order of its simulated guest', {
    platform: { guestByteOrder: 'big' },
  }),
  {
    wrong: 'has one mapping for all queues',
    check: 'keeps the mappings of two queues apart',
    plugin: withPlatform(pagedPlugin(), (platform) => {
      let shared: ReturnType<Platform['openMapping']> | undefined;
      const openMapping: Platform['openMapping'] = (path, request) => (shared ??= platform.openMapping(path, request));
      return { openMapping: cached.get(platform) ?? remember(platform, openMapping) };
    }),
  },
  {
    wrong: 'is the same object in every run',
    check: 'serves two runs in one process without a trace of one in the other',
    plugin: oncePlugin(),
  },
];

const cached = new WeakMap<Platform, Platform['openMapping']>();

function remember(platform: Platform, openMapping: Platform['openMapping']): Platform['openMapping'] {
  cached.set(platform, openMapping);
  return openMapping;
}

/** A plugin that keeps its platform in its module. */
function oncePlugin(): PlatformPlugin {
  const sound = pagedPlugin();
  return {
    ...sound,
    register(container, options) {
      container.register(PLATFORM, {
        useFactory: (bound: DependencyContainer) => {
          const own = bound.createChildContainer();
          sound.register(own, options);
          return (MODULE_STATE.platform ??= own.resolve(PLATFORM));
        },
      });
    },
  };
}

function assertNever(): never {
  throw new Error('a rule that throws');
}

/** The device's side. */
const DEVICE: readonly BrokenPlatform[] = [
  paged('lets the device write what was mapped for reading', 'lets the device do only what the direction says', {
    space: 'ignores the direction',
  }),
  paged('lets the device read what was mapped for writing', 'lets the device read nothing that is mapped FromDevice', {
    space: 'ignores the direction',
  }),
  paged('lets the device read only', 'gives the device all of a buffer that crosses pages', {
    space: 'refuses to write everywhere',
  }),
  paged('keeps a cached translation after unmap', 'takes the access of the device away with unmap and release', {
    space: 'keeps a translation after unmap',
  }),
  paged('leads a used address to the old buffer', 'leads a device address that is used again to its new buffer', {
    space: 'keeps a translation after unmap',
  }),
  paged('leaves its table as it is in unmap', 'takes the access of the device away with unmap and release', {
    mapping: 'leaves the entries after unmap',
  }),
  paged('never changes its generation', 'changes the generation of the address space when it takes an access away', {
    space: 'never changes its generation',
  }),
  paged('runs past the page', 'stops an access of the device where its memory ends', { space: 'runs past the page' }),
  paged('runs into the mapping of a neighbour', 'ends a run of the device at the end of its mapping', {
    space: 'runs past the page',
  }),
  paged('ends a page too early', 'gives the device all of a buffer that crosses pages', {
    space: 'ends a page too early',
  }),
  paged('maps a page-crossing buffer short', 'gives the device all of a buffer that crosses pages', {
    mapping: 'maps a crossing buffer short',
  }),
  paged('ignores the high word of an address', 'looks at both words of a device address', {
    space: 'ignores the high word',
  }),
  paged('unmaps the page of another mapping', 'keeps a mapping when another one of the same page is unmapped', {
    mapping: 'unmaps a page that another mapping uses',
  }),
  paged('shows the device memory that was not mapped', 'keeps a device away from what was never mapped', {
    space: 'reaches memory that is not mapped',
  }),
  paged('records no fault', 'stops an access of the device where its memory ends', { space: 'records nothing' }),
  paged('resolves from a note', 'resolves to -1 what was unmapped and released', { mapping: 'resolves from a note' }),
  {
    wrong: 'records a fault for a question of the driver',
    check: 'records no fault of the device for a question of the driver',
    plugin: askingPlugin(),
  },
  paged(
    'shows the ring at another address',
    'carries a split ring and its buffers, without a fault and with nothing left over',
    {
      hardware: { addressSpace: () => PHYSICAL_ADDRESS_SPACE },
    },
  ),
  paged(
    'shows the ring at another address',
    'carries a packed ring and its buffers, without a fault and with nothing left over',
    {
      hardware: { addressSpace: () => PHYSICAL_ADDRESS_SPACE },
    },
  ),
  {
    wrong: 'keeps guest memory when it is disposed',
    check: 'carries a split ring and its buffers, without a fault and with nothing left over',
    plugin: withPlatform(pagedPlugin(), (_platform, memory) => ({ dispose: () => void memory().allocate(16) })),
  },
  {
    wrong: 'puts a device without ACCESS_PLATFORM behind its tables',
    check: 'gives a device without ACCESS_PLATFORM the addresses that its traits say',
    plugin: withHardware(pagedPlugin(), (hardware) => ({ addressSpace: () => hardware.addressSpace(true) })),
  },
  {
    wrong: 'names a worker module that does not exist',
    check: THREAD,
    plugin: blueprint((sound) => ({ ...sound, module: new URL('./no-such-module.js', import.meta.url).href })),
  },
  {
    wrong: 'names a worker module without openAddressSpace',
    check: THREAD,
    plugin: blueprint((sound) => ({ ...sound, module: new URL('./empty-module.ts', import.meta.url).href })),
  },
  {
    wrong: 'keeps a state that cannot be cloned',
    check: THREAD,
    plugin: blueprint((sound) => ({ ...sound, state: { state: sound.state, open: () => {} } })),
  },
  {
    wrong: 'copies its tables into the state',
    check: 'opens the same address space twice',
    plugin: blueprint((sound) => {
      const { table, mistake } = sound.state as { table: SharedArrayBuffer; mistake: undefined };
      return { ...sound, state: { table: new Uint8Array(table).slice().buffer, mistake } };
    }),
  },
];

/** A plugin whose mapping asks through the device's own address space. */
function askingPlugin(): PlatformPlugin {
  let opened: { read: (low: number, high: number) => void } | undefined;
  const plugin = pagedPlugin({
    wrap: (mapping) =>
      new (class extends ForwardingDmaMapping {
        override readonly resolve = (low: number, high: number): number => {
          opened?.read(low, high);
          return mapping.resolve!(low, high);
        };
      })(mapping),
  });
  return withHardware(plugin, (hardware) => ({
    addressSpace(offers) {
      const sound = hardware.addressSpace(offers);
      return {
        ...sound,
        open(memory, faults, state) {
          const space = sound.open(memory, faults, state);
          opened = { read: (low, high) => void space.borrow(low, high, 1, 'read') };
          return space;
        },
      };
    },
  }));
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the plugin of an outside author, in JavaScript
const { default: xenGrants } = (await import(XEN_GRANTS)) as { default: PlatformPlugin };

/** What the device keeps when the driver takes it back. */
const KEPT: readonly BrokenPlatform[] = [
  paged('says that what was borrowed is kept, and takes it back at once', LEAKS, { traits: { keepsBorrowed: true } }),
  paged('counts a leak, and gives its memory to others', LEAKS, {
    traits: { keepsBorrowed: true },
    wrap: (mapping) => new LeakCounting(mapping),
  }),
  {
    wrong: 'does not let go of what was borrowed with the reset',
    check: LEAKS,
    plugin: withHardware(xenGrants, (hardware) => ({
      addressSpace(offers) {
        const sound = hardware.addressSpace(offers);
        return {
          ...sound,
          open: (memory, faults, state) => Object.assign(sound.open(memory, faults, state), { reset: () => {} }),
        };
      },
    })),
  },
  {
    wrong: 'has a back-end that keeps what it only read and wrote',
    check: 'takes the access of the device away with unmap and release',
    plugin: xenGrants,
    options: { failures: { keep: { every: 1 } } },
  },
  {
    wrong: 'has a back-end that reaches what was not granted',
    check: PRIVATE,
    plugin: withHardware(xenGrants, (hardware) => ({
      addressSpace: (offers) => (offers ? hardware.addressSpace(true) : PHYSICAL_ADDRESS_SPACE),
    })),
  },
];

/** Limits, regions, bounce pools, private memory and exhausted memory. */
const OTHERS: readonly BrokenPlatform[] = [
  paged('crosses the boundary that it states', 'gives device addresses within its limits', {
    mapping: 'states a boundary that it crosses',
  }),
  paged('uses more address bits than it states', 'gives device addresses within its limits', {
    mapping: 'states fewer bits than it uses',
  }),
  paged('maps less than its limit', 'maps a buffer as long as its largest mapping', {
    mapping: 'maps less than its limit',
  }),
  paged('states a limit of 0', 'states limits that make sense', {
    wrap: (mapping) => new ForwardingDmaMapping(mapping, { limits: { ...mapping.limits, maxMappings: 0 } }),
  }),
  paged('maps beyond its reach', 'refuses memory beyond its reach, and leaves the words untouched', {
    wrap: (mapping) => new ForwardingDmaMapping(mapping, { limits: { ...mapping.limits, reach: 2 ** 20 } }),
  }),
  paged('counts copies that it does not make', 'counts the bytes that it copies, and none where it copies nothing', {
    wrap: (mapping) =>
      new (class extends ForwardingDmaMapping {
        override get statistics(): DmaStatistics {
          return { ...super.statistics, bytesBounced: super.statistics.maps };
        }
      })(mapping),
  }),
  paged('gives regions of another direction', 'gives regions that say where they are', {
    wrap: (mapping) => changedRegion(mapping, (region) => ({ direction: region.direction === 0 ? 1 : 0 })),
  }),
  paged('writes the address of another byte', 'gives the same address for the same byte, also across the low word', {
    wrap: (mapping) =>
      changedRegion(mapping, (region) => ({
        writeDeviceAddress: (offset, words, at) => region.writeDeviceAddress(offset % 4096, words, at),
      })),
  }),
  paged(
    'throws a bare error when no region fits',
    'throws ERR_DMA_EXHAUSTED when no more regions fit, leaks nothing, and recovers',
    {
      wrap: (mapping) =>
        new (class extends ForwardingDmaMapping {
          override premap(...parameters: Parameters<DmaMapping['premap']>): DmaRegion {
            if (mapping.statistics.live > 20) throw new Error('full');
            return super.premap(...parameters);
          }
        })(mapping),
    },
  ),
  {
    wrong: 'does not copy for the device in a sync',
    check: 'syncs a live mapping both ways',
    plugin: withPlatform(sev, (platform) => ({
      openMapping: (path, request) =>
        new (class extends ForwardingDmaMapping {
          override syncForDevice(): void {}
        })(platform.openMapping(path, request)),
    })),
  },
  paged('refuses buffers that begin inside of a page', 'gives the device all of a buffer that crosses pages', {
    wrap: (mapping) =>
      new (class extends ForwardingDmaMapping {
        override map(...[address, ...rest]: Parameters<DmaMapping['map']>): number {
          return address % 4096 === 0 ? super.map(address, ...rest) : DMA_UNREACHABLE;
        }
      })(mapping),
  }),
  {
    wrong: 'shows the device private memory',
    check: PRIVATE,
    plugin: withHardware(sev, () => ({ addressSpace: () => PHYSICAL_ADDRESS_SPACE })),
  },
  {
    wrong: 'shows private memory to a device without ACCESS_PLATFORM',
    check: PRIVATE,
    plugin: withHardware(sev, (hardware) => ({
      addressSpace: (offers) => (offers ? hardware.addressSpace(true) : PHYSICAL_ADDRESS_SPACE),
    })),
  },
  {
    wrong: 'reports a bounce pool without used slots',
    check: 'reports of its bounce pool what is in use',
    plugin: withPlatform(sev, () => ({ bouncePool: { slots: 512, used: 0, highWater: 0, exhausted: 0 } })),
  },
  {
    wrong: 'reports faults that the IOMMU did not record',
    check: 'reads the faults that its IOMMU recorded once',
    plugin: withPlatform(intelIommu, () => ({
      recordedFaults: () => [{ address: 0n, length: 1, access: 'read', cause: 'unmapped' }],
    })),
  },
  {
    wrong: 'copies the device’s bytes into a buffer mapped ToDevice',
    check: 'lets the device do only what the direction says',
    plugin: withPlatform(sev, (platform, memory) => ({
      openMapping: (path, request) => {
        const mapping = platform.openMapping(path, request);
        return new (class extends ForwardingDmaMapping {
          #address = 0;
          override map(...[address, ...rest]: Parameters<DmaMapping['map']>): number {
            this.#address = address;
            return super.map(address, ...rest);
          }
          override unmap(id: number, written: number): void {
            super.unmap(id, written);
            memory().u8.fill(1, this.#address, this.#address + written);
          }
        })(mapping);
      },
    })),
  },
  {
    wrong: 'throws a bare error without guest memory',
    check: 'says so where guest memory is exhausted, and goes on when there is some again',
    plugin: withPlatform(legacy, (platform, memory) => ({
      openMapping(path, request) {
        if (memory().size - memory().allocated < 65536) throw new Error('no memory');
        return platform.openMapping(path, request);
      },
    })),
  },
];

function changedRegion(mapping: DmaMapping, change: (region: DmaRegion) => Partial<DmaRegion>): ForwardingDmaMapping {
  return new (class extends ForwardingDmaMapping {
    override premap(...parameters: Parameters<DmaMapping['premap']>): DmaRegion {
      const region = super.premap(...parameters);
      return regionWith(region, change(region));
    }
  })(mapping);
}

/** A sound region with something changed. */
function regionWith(region: DmaRegion, change: Partial<DmaRegion>): DmaRegion {
  return {
    address: region.address,
    length: region.length,
    direction: region.direction,
    writeDeviceAddress: (offset, words, at) => region.writeDeviceAddress(offset, words, at),
    syncForDevice: (offset, length) => region.syncForDevice(offset, length),
    syncForCpu: (offset, length) => region.syncForCpu(offset, length),
    release: () => region.release(),
    ...change,
  };
}

/** Every broken platform, with the check that catches it. */
export const BROKEN_PLATFORMS: readonly BrokenPlatform[] = [...STATIC, ...DEVICE, ...KEPT, ...OTHERS];
