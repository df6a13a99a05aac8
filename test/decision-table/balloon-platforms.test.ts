import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readDecisionTable } from '@virtio-platform/conformance';
import { loadProfile, type Profile } from '@virtio-platform/profile';
import { explainProfile, runProfile } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

const { platforms } = readDecisionTable();
const OFFER = ['VERSION_1', 'BALLOON_STATS_VQ'];

async function balloonProfile(name: string, offers: readonly string[], driver: object): Promise<Profile> {
  const path = join(folder, 'profile.yaml');
  const privilege = platforms[name]!.profile!['use'] === '@virtio-platform/platform-vfio' ? 'process' : 'kernel';
  const content = {
    profile: 'balloon-on-a-platform',
    platform: platforms[name]!.profile!,
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type: 'balloon', targets: ['256KiB', '0B'], offers },
    driver: { privilege, ...driver },
    workload: { kind: 'inflate-deflate', requests: 20, depth: 4 },
  };
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(content));
  return await loadProfile(path);
}

/** What comes of an offer: the path, or the code of the refusal with the rule that decided. */
async function outcome(name: string, offers: readonly string[]): Promise<string> {
  const { refusal, path } = await explainProfile(await balloonProfile(name, offers, {}));
  return refusal === null ? `path ${path}` : `${refusal.code} ${refusal.rule}`;
}

const INSISTS = 'ENODEV path-follows-access-platform';
const RESTRICTED = ['ENODEV restricted-memory-once-more', 'ENODEV restricted-memory-needs-access-platform'] as const;
/**
 * What Linux does with a balloon on each shipped platform: whose device offers ACCESS_PLATFORM, and whose device does
 * not. virtballoon_validate clears the feature. In restricted memory virtio_features_ok then fails the probe; elsewhere
 * the device clears FEATURES_OK, as QEMU's does, and the core here refuses before that. Without the feature the page
 * numbers are physical, as the device takes them, whatever window a POWER guest has. Under VFIO a process is the
 * driver, which Linux has no balloon driver for: the rules of the platform decide.
 */
const LINUX: Readonly<Record<string, readonly [behindIommu: string, plain: string]>> = {
  plain: [INSISTS, 'path physical'],
  'x86-translated': [INSISTS, 'path physical'],
  'x86-passthrough': [INSISTS, 'path physical'],
  'x86-one-to-one': [INSISTS, 'path physical'],
  'x86-scalable': [INSISTS, 'path physical'],
  'x86-remapped': [INSISTS, 'path physical'],
  'x86-scalable-passthrough': [INSISTS, 'path physical'],
  'amd-translated': [INSISTS, 'path physical'],
  'amd-passthrough': [INSISTS, 'path physical'],
  'x86-hardware': [INSISTS, 'ENODEV real-iommu-needs-access-platform'],
  sev: RESTRICTED,
  'sev-iommu': ['ENOTSUP encrypted-guest-has-no-emulated-iommu', RESTRICTED[1]],
  snp: RESTRICTED,
  'pseries-linear': [INSISTS, 'path physical'],
  'pseries-identity': [INSISTS, 'path physical'],
  'pseries-partial-identity': [INSISTS, 'path physical'],
  'pseries-dynamic': [INSISTS, 'path physical'],
  'pseries-default': [INSISTS, 'path physical'],
  'pseries-single-tce': [INSISTS, 'path physical'],
  'pseries-secure-linear': RESTRICTED,
  'pseries-secure-dynamic': RESTRICTED,
  vfio: [INSISTS, 'EPERM unprivileged-needs-isolation'],
  'vfio-exposed': ['EPERM unprivileged-needs-interrupt-remapping', 'EPERM unprivileged-needs-isolation'],
  'vfio-iommufd': [INSISTS, 'EPERM unprivileged-needs-isolation'],
  'vfio-iommufd-container': [INSISTS, 'EPERM unprivileged-needs-isolation'],
  'vfio-spapr-v1': [INSISTS, 'EPERM unprivileged-needs-isolation'],
  'vfio-spapr-v2': [INSISTS, 'EPERM unprivileged-needs-isolation'],
  'vfio-large-pages': [INSISTS, 'EPERM unprivileged-needs-isolation'],
  'virtio-iommu': [INSISTS, 'path physical'],
  'virtio-iommu-identity': [INSISTS, 'path physical'],
  'virtio-iommu-holes': [INSISTS, 'path physical'],
  smmuv3: [INSISTS, 'path physical'],
  'smmuv3-passthrough': [INSISTS, 'path physical'],
  'smmuv3-hardware': [INSISTS, 'ENODEV real-iommu-needs-access-platform'],
  pkvm: RESTRICTED,
  'arm-realm-alias': RESTRICTED,
};

describe('a balloon on each shipped platform', () => {
  it('is in the table of each', () => {
    const shipped = Object.keys(platforms).filter((name) => platforms[name]!.profile !== undefined);
    expect(Object.keys(LINUX)).toEqual(shipped);
  });

  it.each(Object.entries(LINUX))('%s: is refused, or takes physical pages, as by Linux', async (name, wanted) => {
    const seen = [await outcome(name, [...OFFER, 'ACCESS_PLATFORM']), await outcome(name, OFFER)];
    expect(seen).toEqual(wanted);
  });

  const physical = Object.entries(LINUX).flatMap(([name, [, plain]]) => (plain === 'path physical' ? [name] : []));
  it.each(physical)('%s: moves pages at their physical addresses', async (name) => {
    const { outcome: result, workload, faults } = await runProfile(await balloonProfile(name, OFFER, {}));
    expect([result, workload.verified, faults]).toEqual(['completed', true, []]);
  });

  it.each(physical)('%s: is refused by the device where a driver leaves ACCESS_PLATFORM out', async (name) => {
    const profile = await balloonProfile(name, [...OFFER, 'ACCESS_PLATFORM'], { forces: OFFER });
    const { refusal, dma } = await runProfile(profile);
    expect([refusal?.code, refusal?.rule, dma.maps]).toEqual(['ENODEV', 'features-ok-read-back', 0]);
  });

  it('says in an explanation why the driver half declines the feature', async () => {
    const profile = await balloonProfile('x86-translated', [...OFFER, 'ACCESS_PLATFORM'], {});
    const { features, rules } = await explainProfile(profile);
    expect(features.find(({ feature }) => feature === 'ACCESS_PLATFORM')).toMatchObject({
      outcome: 'declined',
      rule: 'driver-half-declines',
      reason: 'the page numbers of a balloon are guest-physical, and no platform translates them',
    });
    expect(rules.find(({ rule }) => rule === 'driver-half-declines')?.source).toContain('virtballoon_validate');
  });
});
