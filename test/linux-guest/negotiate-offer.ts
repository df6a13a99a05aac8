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
/** What a profile has to say of each device type, although nothing is run. */
const WORKLOADS = {
  balloon: { kind: 'mixed' },
  block: { kind: 'write-read-verify', blockSize: '4KiB' },
  net: { kind: 'echo', blockSize: '4KiB' },
  console: { kind: 'echo', blockSize: '4KiB' },
  entropy: { kind: 'read', blockSize: '4KiB' },
} as const;

/** What our drivers and the rules of a case's platform accept of an offer. */
export async function negotiateOffer(
  from: FeatureCase,
  { type }: CaseDevice,
  offered: FeatureSet,
): Promise<NegotiationResult> {
  const platform = platforms[from.platform]!;
  const profile = await driverProfile({
    profile: from.name,
    platform: platform.profile ?? platforms['plain']!.profile,
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
        carries: transportCarries(from.interface === 'legacy' ? 'legacy' : 'pci'),
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
