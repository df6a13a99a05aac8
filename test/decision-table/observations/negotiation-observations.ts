import * as fc from 'fast-check';
import { decideRow, platformTraits } from '@virtio-platform/conformance';
import { initializeDevice } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { DEFAULT_POLICY, type NegotiationPolicy, type PlatformTraits } from '@virtio-platform/core/negotiation';
import { composeRun } from '@virtio-platform/profile';
import { rowProfile } from '../decision-row-profile.ts';
import type { Observation, ObservedRow } from './observation.ts';

const SUPPORTED = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM);
const SWITCHES = Object.keys(DEFAULT_POLICY).filter((name) => name !== 'bits');

/** How a real device comes out before and after its guest turned secure: the path, or the code of the refusal. */
async function turnSecure(
  { row, table, folder }: ObservedRow,
  offered: readonly string[],
): Promise<readonly (string | undefined)[]> {
  const profile = await rowProfile(folder, { ...row, offered }, table.platforms['pseries-linear']!.profile!);
  const run = await composeRun(profile);
  try {
    const outcome = (traits: PlatformTraits): string | undefined => {
      const { transport } = run.machine;
      const result = initializeDevice(transport, {
        deviceFeatures: profile.device.type.features,
        supported: SUPPORTED,
        traits,
        rules: [],
        privilege: 'kernel',
      });
      return result.path ?? result.refusal?.code;
    };
    return ['pseries-linear', row.platform!].map((name) => outcome(platformTraits(table.platforms[name]!)));
  } finally {
    await run.dispose();
  }
}

/** Every policy that the switches make. */
const anyPolicy: fc.Arbitrary<Partial<NegotiationPolicy>> = fc
  .subarray(SWITCHES)
  .map((on) => Object.fromEntries(SWITCHES.map((name) => [name, on.includes(name)])));

/** Rows about what negotiation never does, and about doing it again. */
export const NEGOTIATION_OBSERVATIONS: Readonly<Record<string, Observation>> = {
  async D2({ row, table }) {
    const platform = table.platforms[row.platform!]!;
    let everBouncesOff = 0;
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 70n) - 1n }), anyPolicy, (bits, policy) => {
        const offered = new FeatureSet(bits).with(VIRTIO_F_VERSION_1).with(VIRTIO_F_ACCESS_PLATFORM);
        const outcome = decideRow({ ...row, offered: [...offered].map((bit) => `BIT_${bit}`), policy }, platform);
        if ('path' in outcome && outcome.path !== 'bounced') everBouncesOff++;
      }),
      { numRuns: 300 },
    );
    return { everBouncesOff };
  },

  F6: async (observed) => ({
    withoutAccessPlatform: await turnSecure(observed, ['VERSION_1']),
    withAccessPlatform: await turnSecure(observed, ['VERSION_1', 'ACCESS_PLATFORM']),
  }),

  async G7({ row, table }) {
    const platform = table.platforms[row.platform!]!;
    let usedUnder = 0;
    fc.assert(
      fc.property(anyPolicy, fc.constantFrom('modern' as const, 'legacy' as const), (policy, kind) => {
        const offered = kind === 'modern' ? ['VERSION_1'] : ['ANY_LAYOUT'];
        const outcome = decideRow({ ...row, interface: kind, offered, policy }, platform);
        if ('path' in outcome && outcome.path !== 'bounced') usedUnder++;
      }),
      { numRuns: 300 },
    );
    return { usedUnder };
  },
};
