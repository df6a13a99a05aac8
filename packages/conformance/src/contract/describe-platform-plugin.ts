import assert from 'node:assert/strict';
import { facilityName, PLUGIN_API_VERSION, type PlatformPlugin } from '@virtio-platform/core';
import { DMA_PATHS, DmaDirection, probeIdentity } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { CORE_RULES, NEGOTIATION_STAGES } from '@virtio-platform/core/negotiation';
import { describeContract, type ContractCheck } from '../contract-check.ts';
import { describeDmaMapping, type DmaMappingSubject } from '../describe-dma-mapping.ts';
import { runRingEcho } from './ring-echo.ts';
import { checkOptions, openPlatform, type OpenedPlatform } from '../testing/open-plugin.ts';
/** A plugin under test, with its options. */
export interface PlatformPluginSubject {
  readonly plugin: PlatformPlugin;
  /** The options as a profile would give them, before the schema. */
  readonly options: unknown;
  /** Bytes of guest memory to simulate with. */
  readonly memory: number;
}

const QUEUE_SIZE = 8;
/** Mappings that a queue of that size can hold at once, with indirect tables of 4. */
const MAPPING_CAPACITY = QUEUE_SIZE * 4;

/** The promises of a platform plugin, one by one. */
export const PLATFORM_PLUGIN_CHECKS: readonly ContractCheck<PlatformPluginSubject>[] = [
  {
    name: 'says what it is',
    run({ plugin }) {
      assert.equal(plugin.kind, 'platform');
      assert.match(plugin.name, /^[a-z][a-z0-9-]*$/);
      assert.equal(plugin.apiVersion, PLUGIN_API_VERSION);
      for (const need of plugin.needs)
        assert.ok(typeof need === 'symbol' && need.description, 'a facility is a named symbol');
    },
  },
  {
    name: 'checks its options with a Standard Schema that refuses what it does not know',
    async run({ plugin, options }) {
      const { version, vendor, validate } = plugin.options['~standard'];
      assert.equal(version, 1);
      assert.ok(vendor.length > 0);
      assert.equal((await validate(options)).issues, undefined, 'the given options are accepted');
      for (const wrong of [42, 'text', { 'no such option': true }]) {
        const { issues } = await validate(wrong);
        assert.ok(issues !== undefined && issues.length > 0, `${JSON.stringify(wrong)} is refused`);
      }
    },
  },
  {
    name: 'simulates every facility that it needs',
    async run(subject) {
      const { plugin } = subject;
      assert.ok(plugin.simulate !== undefined, 'it has simulated hardware');
      const { facilities } = plugin.simulate(
        new GuestMemory(new SharedArrayBuffer(subject.memory)),
        await checkOptions(plugin, subject.options),
      );
      for (const need of plugin.needs) assert.ok(facilities.has(need), facilityName(need));
    },
  },
  {
    name: 'binds a platform of its own name, with traits that make sense',
    async run(subject) {
      const { platform, dispose } = await open(subject);
      const { traits } = platform;
      assert.equal(platform.name, subject.plugin.name);
      assert.ok(DMA_PATHS.slice(1).includes(traits.mappedPath), 'physical is the path without a platform');
      assert.ok(traits.addressMeaning.length > 0);
      dispose();
    },
  },
  {
    name: 'names each of its rules once, with a source',
    async run(subject) {
      const { platform, dispose } = await open(subject);
      const names = [...CORE_RULES, ...platform.rules].map(({ name }) => name);
      assert.equal(new Set(names).size, names.length, 'no name is used twice, not even one of the core');
      for (const { name, source, stage } of platform.rules) {
        assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
        assert.ok(source.length > 0, `${name} has a source`);
        assert.ok(NEGOTIATION_STAGES.includes(stage));
      }
      dispose();
    },
  },
  {
    name: 'opens mappings of the path that its traits state',
    async run(subject) {
      const { platform, openMapping, dispose } = await open(subject);
      const mapping = openMapping(0, MAPPING_CAPACITY);
      assert.equal(mapping.path, platform.traits.mappedPath);
      assert.ok(mapping.limits.maxMappings >= MAPPING_CAPACITY, 'the requested capacity');
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'claims identity only where a probe finds it',
    async run(subject) {
      const { platform, memory, openMapping, dispose } = await open(subject);
      const { traits } = platform;
      const mapping = openMapping(0, MAPPING_CAPACITY);
      const probed = probeIdentity(mapping, memory);
      if (traits.mappedPath === 'identity')
        assert.equal(traits.identityVerified, probed, 'identity is probed, not assumed');
      else assert.notEqual(traits.identityVerified === true && !probed, true, 'a claim the probe does not bear out');
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'keeps the mappings of two queues apart',
    async run(subject) {
      const { memory, allocated, space, openMapping, dispose } = await open(subject);
      const [first, second] = [openMapping(0, MAPPING_CAPACITY), openMapping(1, MAPPING_CAPACITY)];
      const buffer = memory.allocate(PAGE_SIZE);
      memory.u8.fill(0x5a, buffer, buffer + 64);
      const words = new Uint32Array(4);
      const ids = [
        first.map(buffer, 64, DmaDirection.ToDevice, words, 0),
        second.map(buffer, 64, DmaDirection.ToDevice, words, 2),
      ];
      assert.deepEqual([first.statistics.live, second.statistics.live], [1, 1], 'each counts what is its own');
      first.unmap(ids[0]!, 0);
      // A whole ring comes and goes on the first queue, and then the first queue itself.
      const ring = { layout: 'split', inOrder: false, indirect: 0, eventIdx: false } as const;
      runRingEcho(memory, first, space, { ...ring, size: QUEUE_SIZE, requests: 16 });
      first.dispose();
      const seen = new Uint8Array(64);
      assert.ok(space.read(words[2]!, words[3]!, seen, 0, 64), 'the device still reaches what the second queue mapped');
      assert.ok(seen.every((byte) => byte === 0x5a));
      second.unmap(ids[1]!, 0);
      assert.deepEqual([second.statistics.live, space.faults.count], [0, 0]);
      second.dispose();
      memory.free(buffer);
      dispose();
      assert.equal(memory.allocated, allocated, 'all guest memory is given back');
    },
  },
  ...(['split', 'packed'] as const).map((layout) => ({
    name: `carries a ${layout} ring and its buffers, without a fault and with nothing left over`,
    async run(subject: PlatformPluginSubject): Promise<void> {
      for (const [indirect, inOrder] of [
        [0, false],
        [4, false],
        [0, true],
        [4, true],
      ] as const) {
        const { platform, memory, allocated, space, openMapping, dispose } = await open(subject);
        const mapping = openMapping(0, MAPPING_CAPACITY);
        const features = { layout, inOrder, indirect, eventIdx: indirect > 0 };
        runRingEcho(memory, mapping, space, { ...features, size: QUEUE_SIZE, requests: 64 });
        assert.deepEqual(space.faults.entries, [], `${platform.name}: faults`);
        mapping.dispose();
        assert.equal(mapping.statistics.live, 0);
        dispose();
        assert.equal(memory.allocated, allocated, 'all guest memory is given back');
      }
    },
  })),
];

/**
 * Tries a platform plugin and its mapping against the whole contract, with the given options and its simulated
 * hardware.
 */
export function describePlatformPlugin<Options>(
  plugin: PlatformPlugin<Options>,
  settings: { readonly options?: unknown; readonly memory?: number } = {},
): void {
  const subject: PlatformPluginSubject = {
    plugin,
    options: settings.options ?? {},
    memory: settings.memory ?? 4 * 2 ** 20,
  };
  const name = `${plugin.name} with ${JSON.stringify(subject.options)} as a platform plugin`;
  describeContract(name, PLATFORM_PLUGIN_CHECKS, async (check) => check.run(subject));
  describeDmaMapping(`what ${name} maps with`, { setup: () => mappingSubject(subject) });
}

/**
 * The mapping of a queue, and the device behind it. Only what is mapped one by one can be taken from the device again.
 */
async function mappingSubject(subject: PlatformPluginSubject): Promise<DmaMappingSubject> {
  const { memory, space, openMapping, dispose } = await open(subject);
  const mapping = openMapping(0, MAPPING_CAPACITY);
  return { memory, mapping, device: space, revokes: mapping.path === 'translated', dispose };
}

/** Opens the plugin's platform with the subject's options, which have to pass its schema. */
async function open(subject: PlatformPluginSubject): Promise<OpenedPlatform> {
  const { plugin, memory } = subject;
  assert.ok(plugin.simulate !== undefined, 'it has simulated hardware');
  return openPlatform(plugin, await checkOptions(plugin, subject.options), { memory });
}
