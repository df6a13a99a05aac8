import assert from 'node:assert/strict';
import { DMA_PATHS, type DmaPath } from '@virtio-platform/core/dma';
import {
  FeatureSet,
  NO_DEVICE_FEATURES,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import {
  CLOSED_STAGES,
  CORE_RULES,
  DRIVER_PRIVILEGES,
  negotiate,
  NEGOTIATION_STAGES,
  type NegotiationInput,
  type NegotiationResult,
  type PlatformTraits,
} from '@virtio-platform/core/negotiation';
import type { ContractCheck } from '../../contract-check.ts';
import { MAPPING_CAPACITY, openSubject, type PlatformPluginSubject } from './platform-subject.ts';

const EVERYTHING = new FeatureSet((1n << 64n) - 1n);
const LEGACY_BITS = new FeatureSet((1n << 32n) - 1n);
/** What devices offer in the checks: all, no more than needed, nothing of the platform, and nothing. */
const OFFERS: readonly FeatureSet[] = [
  EVERYTHING,
  FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM),
  FeatureSet.of(VIRTIO_F_VERSION_1),
  FeatureSet.EMPTY,
];
/** The traits that are booleans, of which the optional ones may be left out. */
const OPTIONAL_FLAGS = [
  'reachesAllMemory',
  'bounceIsPhysical',
  'restrictedUnchecked',
  'confinesEveryDevice',
  'mapsUnflagged',
  'processOnly',
  'interruptsExposed',
  'writableIsReadable',
  'keepsBorrowed',
] as const satisfies readonly (keyof PlatformTraits)[];

/** The duties of a platform's traits and rules. */
export const NEGOTIATION_CHECKS: readonly ContractCheck<PlatformPluginSubject>[] = [
  {
    name: 'binds a platform of its own name, with traits that make sense',
    duty: 'PlatformPlugin.register: binds PLATFORM; PlatformTraits: what the platform says of itself to negotiation',
    advice: 'bind PLATFORM, give the platform the name of its plugin, and state each trait as a fact of its type',
    async run(subject) {
      const { platform, dispose } = await openSubject(subject);
      const { traits } = platform;
      assert.equal(platform.name, subject.plugin.name);
      assert.ok(DMA_PATHS.slice(1).includes(traits.mappedPath), `mappedPath is ${traits.mappedPath}`);
      assert.ok(traits.addressMeaning.length > 0, 'addressMeaning says what an address means');
      for (const name of ['restrictedMemory', 'isolates'] as const) assert.equal(typeof traits[name], 'boolean', name);
      for (const name of [...OPTIONAL_FLAGS, 'identityVerified'] as const)
        assert.ok(['boolean', 'undefined'].includes(typeof traits[name]), `${name} is a boolean, or left out`);
      const { addressBits: bits = 64 } = traits;
      assert.ok(Number.isInteger(bits) && bits >= 1 && bits <= 64, `addressBits ${bits}`);
      assert.deepEqual({ ...platform.traits }, { ...traits }, 'traits are the same when they are read again');
      dispose();
    },
  },
  {
    name: 'names each of its rules once, with a source',
    duty: 'NegotiationRule: a unique name in words with hyphens, its source, and a stage other than verify and path',
    advice: 'name the rule after what it says, cite where it comes from, and choose one of the open stages',
    async run(subject) {
      const { platform, dispose } = await openSubject(subject);
      const names = [...CORE_RULES, ...platform.rules].map(({ name }) => name);
      assert.equal(new Set(names).size, names.length, 'no name is used twice, not even one of the core');
      for (const { name, source, stage } of platform.rules) {
        assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
        assert.ok(source.length > 0, `${name} has a source`);
        assert.ok(NEGOTIATION_STAGES.includes(stage), `${name}: the stage ${stage} exists`);
        assert.ok(!CLOSED_STAGES.includes(stage), `${name}: a platform has no say in stage ${stage}`);
      }
      dispose();
    },
  },
  {
    name: 'decides the same for the same device, and never throws',
    duty: 'NegotiationRule.apply: must not throw: what stops a device is a refusal',
    advice: 'look at the negotiation only, keep nothing between two of them, and call refuse with a code and a reason',
    async run(subject) {
      const { platform, dispose } = await openSubject(subject);
      for (const input of inputs(platform.traits)) {
        const results = [negotiate(input, platform.rules), negotiate(input, platform.rules)].map(comparable);
        assert.deepEqual(results[0], results[1], 'two negotiations of the same device');
        const { refusal } = results[0]!;
        if (refusal !== undefined)
          assert.ok(
            refusal.code.length > 0 && refusal.reason.length > 0,
            `${refusal.rule} refuses with code and reason`,
          );
      }
      dispose();
    },
  },
  {
    name: 'opens mappings of the path that its traits state',
    duty: 'Platform.openMapping: opens the mapping of one queue for the path that negotiation chose',
    advice: 'give the mapping the path of traits.mappedPath, and limits.maxMappings of at least request.capacity',
    async run(subject) {
      const { platform, openMapping, dispose } = await openSubject(subject);
      const mapping = openMapping(0, MAPPING_CAPACITY);
      assert.equal(mapping.path, platform.traits.mappedPath);
      assert.ok(mapping.limits.maxMappings >= MAPPING_CAPACITY, 'limits.maxMappings is the requested capacity or more');
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'opens a mapping for every path that negotiation chooses',
    duty: 'Platform.openMapping: the mapped path, or `bounced` where the device takes the physical addresses of slots',
    advice: 'open a mapping for each path that a device can get with these traits and rules',
    async run(subject) {
      const { platform, dispose } = await openSubject(subject);
      const paths = new Set<DmaPath>();
      for (const input of inputs(platform.traits)) {
        const { path } = negotiate(input, platform.rules);
        if (path !== undefined && path !== 'physical') paths.add(path);
      }
      for (const path of paths) {
        const mapping = platform.openMapping(path, { queue: 0, capacity: MAPPING_CAPACITY });
        mapping.allocateCoherent(4096, 4096).release();
        mapping.dispose();
      }
      dispose();
    },
  },
];

/** What negotiation is told of many devices and drivers. */
function inputs(traits: PlatformTraits): NegotiationInput[] {
  return OFFERS.flatMap((offered) =>
    (['modern', 'legacy'] as const).flatMap((deviceInterface) =>
      DRIVER_PRIVILEGES.map((privilege) => {
        const carries = deviceInterface === 'legacy' ? LEGACY_BITS : EVERYTHING;
        return {
          deviceFeatures: NO_DEVICE_FEATURES,
          interface: deviceInterface,
          offered: offered.and(carries),
          supported: EVERYTHING,
          carries,
          traits,
          privilege,
        };
      }),
    ),
  );
}

/** A result with its sets as lists. */
function comparable(result: NegotiationResult): Pick<NegotiationResult, 'refusal' | 'path' | 'trace'> & {
  readonly accepted: readonly number[];
} {
  const { accepted, refusal, path, trace } = result;
  return { accepted: [...accepted], refusal, path, trace };
}
