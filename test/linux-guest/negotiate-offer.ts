import { platformTraits, readDecisionTable } from '@virtio-platform/conformance';
import { featureBit, FeatureSet, transportCarries } from '@virtio-platform/core/features';
import { negotiate, type NegotiationResult } from '@virtio-platform/core/negotiation';
import { composeRun, loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { supportedFeatures } from '@virtio-platform/session';
import { deviceTable } from '../device-tables.ts';
import { WORKLOADS, type CaseDevice, type FeatureCase } from './feature-cases.ts';

const { platforms } = readDecisionTable();

/** What our drivers and the rules of a case's platform accept of an offer. */
export async function negotiateOffer(
  from: FeatureCase,
  { type }: CaseDevice,
  offered: FeatureSet,
): Promise<NegotiationResult> {
  const platform = platforms[from.platform]!;
  const profile = await loadProfile({
    profile: from.name,
    // The table is data, whose platform sections are those of profiles.
    platform: (platform.profile ?? platforms['plain']!.profile) as NonNullable<ProfileObject['platform']>,
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type, ...(type === 'block' && { capacity: '1MiB' }) },
    queue: { layout: 'packed', size: 64 },
    workload: { ...WORKLOADS[type], requests: 1, depth: 1 },
  });
  const run = await composeRun(profile);
  try {
    // A platform that has no plugin here has its traits in the table, and no rules of its own.
    const { traits, rules } =
      platform.profile === undefined ? { traits: platformTraits(platform), rules: [] } : run.platform;
    const { policy, driver } = profile;
    return negotiate(
      {
        deviceFeatures: deviceTable(type),
        interface: from.interface,
        offered,
        supported: supportedFeatures(profile),
        carries: transportCarries(from.interface === 'legacy' ? 'legacy' : from.bus),
        traits,
        privilege: driver.privilege,
        policy,
        clears: driver.clears,
        declines: profile.device.type.driver.declines,
      },
      rules,
    );
  } finally {
    await run.dispose();
  }
}

/** Features of a device by the names in which they were captured. */
export function featureSet(names: readonly string[], { type }: CaseDevice): FeatureSet {
  return FeatureSet.of(...names.map((name) => featureBit(name, deviceTable(type))!));
}
