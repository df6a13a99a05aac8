import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { platformTraits, readDecisionTable } from '@virtio-platform/conformance';
import { featureBit, FeatureSet, transportCarries } from '@virtio-platform/core/features';
import { negotiate, type NegotiationResult } from '@virtio-platform/core/negotiation';
import { composeRun, loadProfile, type Profile } from '@virtio-platform/profile';
import { supportedFeatures } from '@virtio-platform/session';
import { deviceTable } from '../device-tables.ts';
import type { CaseDevice, FeatureCase } from './feature-cases.ts';

const { platforms } = readDecisionTable();
/**
 * A device of this type has no features of its own, so that a driver of it stands for one of a type that we do not
 * drive.
 */
const FEATURELESS = 'entropy';
/** What a profile has to say of each device type, although nothing is run. */
const WORKLOADS = { block: 'write-read-verify', net: 'echo', console: 'echo', entropy: 'read' } as const;

/**
 * What our drivers and the rules of a case's platform accept of an offer. We have no driver for a balloon: what is
 * negotiated is a ring, by a driver that takes ACCESS_PLATFORM back, as that of Linux does.
 */
export async function negotiateOffer(
  from: FeatureCase,
  { type }: CaseDevice,
  offered: FeatureSet,
): Promise<NegotiationResult> {
  const driven = type === 'balloon' ? FEATURELESS : type;
  const platform = platforms[from.platform]!;
  const profile = await driverProfile({
    profile: from.name,
    platform: platform.profile ?? platforms['plain']!.profile,
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type: driven, ...(driven === 'block' && { capacity: '1MiB' }) },
    driver: { clears: type === 'balloon' ? ['ACCESS_PLATFORM'] : [] },
    queue: { layout: 'packed', size: 64 },
    workload: { kind: WORKLOADS[driven], requests: 1, depth: 1, blockSize: '4KiB' },
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
        carries: transportCarries(from.interface === 'legacy' ? 'legacy' : 'pci'),
        traits,
        privilege: driver.privilege,
        policy,
        clears: driver.clears,
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

async function driverProfile(content: Readonly<Record<string, unknown>>): Promise<Profile> {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  try {
    const path = join(folder, 'profile.yaml');
    // JSON is YAML.
    writeFileSync(path, JSON.stringify(content));
    return await loadProfile(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
