import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles, missingRequirements, type Profile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
const FOLDER = join(ROOT, 'profiles');
const runs = await runsOf(FOLDER);
/** Under DPDK the driver half is the same on each platform, and its start takes seconds: one profile is enough. */
const OTHERS_OF_DPDK = /dpdk-(?!multiqueue)/;
const runsOfBackEnd = (await runsOf(join(FOLDER, 'vhost-user'))).filter(({ name }) => !OTHERS_OF_DPDK.test(name));

async function runsOf(folder: string): Promise<Profile[]> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return (await Promise.all(names.map((name) => loadProfiles(join(folder, name))))).flat();
}

/** Whether the profile's back-end is installed, which CI does. */
const mayRun = new Map<Profile, boolean>();
for (const profile of runsOfBackEnd) {
  const missing = process.env['CI'] === undefined ? await missingRequirements(profile) : [];
  mayRun.set(profile, missing.length === 0);
  for (const { what, fix } of missing) console.warn(`${profile.name} is skipped without ${what}: ${fix}`);
}

/** The block sizes of the disks of a device: requests are whole blocks. */
function blockSizes(settings: unknown): number[] {
  const { blockSize, disks = [] } = settings as {
    readonly blockSize?: number;
    readonly disks?: readonly { readonly blockSize?: number }[];
  };
  return [blockSize, ...disks.map((disk) => disk.blockSize)].filter((size) => size !== undefined);
}

/** Every access of the driver is looked at, so fewer requests do: still several times round each ring. */
function sanitized(profile: Profile, buffers: Profile['driver']['buffers']): Profile {
  const { device, workload } = profile;
  const options = workload.options as { readonly blockSize: number; readonly conditions?: readonly string[] };
  const least = Math.max(1, ...blockSizes(device.settings), workload.kind === 'pcap' ? options.blockSize : 0);
  // The used length of QEMU counts the data of a read that it refuses and leaves unwritten, which is a finding.
  const conditions = options.conditions?.filter((condition) => condition !== 'past-end');
  const possible = { blockSize: Math.min(options.blockSize, Math.max(least, 1024)), conditions };
  const requests = Math.min(workload.requests, Math.max(300, 4 * workload.depth));
  return {
    ...profile,
    driver: { ...profile.driver, sanitize: true, buffers },
    workload: { ...workload, requests, options: { ...options, ...possible } },
  };
}

/** Each run with the buffers of its profile, and every fourth one with the others too. */
function runsWith(buffers: Profile['driver']['buffers']): Profile[] {
  return runs.filter(({ driver }, at) => driver.buffers === buffers || at % 4 === 0);
}

describe.each(['premapped', 'streaming'] as const)('the shipped drivers with %s buffers', (buffers) => {
  it.each(runsWith(buffers))('run clean under the sanitizer in $name', async (profile) => {
    const report = await runProfile(sanitized(profile, buffers));
    expect([report.failure, report.findings]).toEqual([null, []]);
    expect(report.workload.mismatches.first).toEqual([]);
    expect(report.workload.verified).toBe(true);
    const isWorker = profile.machine.options['device'] === 'worker';
    expect(report.sanitizer).toEqual({ findings: 0, seesDriver: true, seesDevice: !isWorker });
  });
});

describe('the driver half of a balloon under the sanitizer', () => {
  it('hears of a changed configuration, and is not blamed for pages that the device takes by their numbers', async () => {
    const [balloon] = await loadProfiles(join(FOLDER, 'balloon.yaml'));
    const { configuration, findings } = await runProfile(sanitized(balloon!, 'premapped'));
    expect(findings).toEqual([]);
    expect(configuration.changes).toBeGreaterThan(0);
  });
});

describe('the shipped drivers on a real back-end', () => {
  for (const [profile, isInstalled] of mayRun) {
    it.skipIf(!isInstalled)(
      `run clean under the sanitizer in ${profile.name}, which cannot see the device`,
      async () => {
        const report = await runProfile(sanitized(profile, profile.driver.buffers));
        expect(report.findings).toEqual([]);
        expect(report.workload.verified).toBe(true);
        expect(report.sanitizer).toEqual({ findings: 0, seesDriver: true, seesDevice: false });
      },
    );
  }
});
