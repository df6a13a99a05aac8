import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CONTAINER_TYPES, vfioOptionsSchema } from '@virtio-platform/platform-vfio';
import { checkPlugins, loadProfiles } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { triedProfile } from '../machines/tried-requests.ts';
const FOLDER = join(ROOT, 'profiles/vfio');
const files = readdirSync(FOLDER);
const profiles = (await Promise.all(files.map((name) => loadProfiles(join(FOLDER, name))))).flat();
const runs = profiles.map((profile) => triedProfile(profile));

/** Why those fail that are there to fail: an errno says it, and the message what it means. */
const FAILURES: Readonly<Record<string, readonly RegExp[]>> = {
  'vfio-memory-lock': [
    /ENOMEM; \d+ bytes are pinned, of the 65536 that may be/,
    /ENOMEM; \d+ bytes are pinned, of the 8388608/,
  ],
  'vfio-spapr-v1': [/^cannot enable the container: ENOMEM$/],
  'vfio-spapr-v2': [/^cannot map through TCEs of 2MiB: EPERM$/, /^cannot register 16777216 bytes of memory: ENOMEM$/],
  'vfio-iommufd [': [/to an I\/O virtual address: ENOMEM/],
  'vfio-iommufd-container': [/cannot map \d+ bytes .*: ENOMEM; .* of the 8388608 that may be/],
  'vfio-exec': [/^the process after exec cannot take over 65536 bytes .*: ENOMEM; 8192 bytes are pinned, of the 65536/],
  'vfio-several-devices': [
    /ENOMEM; 0 bytes are pinned, of the 8388608 that may be and of which others hold 8388608$/,
    /ENOSPC; the container takes 0 more mappings$/,
  ],
  'vfio-large-pages': [
    /^not even one request can be mapped: the platform lets the device reach no such memory/,
    /cannot map \d+ bytes .*: EINVAL/,
  ],
  'vfio-spapr-large-window': [
    /^cannot create a window of 256GiB in pages of 64KiB with a table of 1 level: ENOMEM$/,
    /^cannot create a window of 256GiB in pages of 64KiB with a table of 2 levels: ENOMEM$/,
  ],
  'vfio-entry-limit': [/ENOSPC; the container takes 0 more mappings$/],
};

/** The bytes beside buffers that the runs of a profile show, of those that come to their end. */
function besideBuffers(reports: readonly RunReport[], name: string): number[] {
  return reports
    .filter(({ profile, outcome }) => profile.startsWith(name) && outcome === 'completed')
    .map(({ statistics }) => statistics['bytes beside buffers']?.['most'] ?? 0);
}

describe('the profiles of the kinds of container', () => {
  const reports: RunReport[] = [];
  beforeAll(async () => {
    for (const profile of runs) reports.push(await runProfile(profile));
  });

  it('are one for each', () => {
    const kinds = runs.map(({ platform }) => vfioOptionsSchema.parse(platform.options).container);
    expect(new Set(kinds)).toEqual(new Set(CONTAINER_TYPES));
  });

  it.each(runs.map(({ name }) => name))('%s ends as it expects, and leaves nothing behind', (name) => {
    const report = reports.find(({ profile }) => profile === name)!;
    expect(report.differences).toEqual([]);
    expect(report.findings).toEqual([]);
    expect(report.dma.live).toBe(0);
    expect(report.dma.maps).toBe(report.dma.unmaps);
  });

  it('fail, where they do, for the reason that they are there for', () => {
    const failed = reports.filter(({ outcome }) => outcome === 'failed');
    const reasons = Object.entries(FAILURES).flatMap(([name, messages]) =>
      messages.map((message) => ({ name, message })),
    );
    expect(failed).toHaveLength(reasons.length);
    for (const { name, message } of reasons) {
      const matching = failed.filter(
        ({ profile, failure }) => profile.startsWith(name) && message.test(failure!.message),
      );
      expect(matching, `${name}: ${message}`).toHaveLength(1);
    }
  });

  it('show a device that is too late: its access is a fault at the address that was unmapped', () => {
    const report = reports.find(({ profile }) => profile === 'vfio-after-unmap')!;
    expect(report.faults).toMatchObject([{ access: 'read', cause: 'unmapped' }]);
    expect(report.workload.verified).toBe(true);
  });

  it('map one by one where they say so', () => {
    const streaming = reports.filter(
      // A packet takes fewer mappings than a request to a disk.
      ({ profile, outcome }) =>
        outcome === 'completed' && profile.includes('streaming') && !profile.startsWith('vfio-net'),
    );
    expect(streaming.length).toBeGreaterThanOrEqual(4);
    expect(streaming.filter(({ dma, workload }) => dma.maps < 3 * workload.requests)).toEqual([]);
  });

  it('say how much lies beside buffers in pages of the IOMMU, and nothing where pools fill them', () => {
    expect(besideBuffers(reports, 'vfio-large-pages').map((bytes) => bytes > 0)).toEqual([
      false,
      false,
      true,
      true,
      false,
      true,
    ]);
    // A request of three segments in pages of 64 KiB shows up to three such pages.
    expect(Math.max(...besideBuffers(reports, 'vfio-large-pages'))).toBeGreaterThan(32 * 2 ** 16);
  });

  it('say which device was refused its memory', () => {
    const refused = reports
      .filter(({ profile }) => profile.startsWith('vfio-several-devices'))
      .map(({ outcome, statistics }) => [outcome, statistics['refused to other devices, errno']?.['net0']]);
    expect(refused.filter(([, errno]) => errno !== undefined)).toEqual([['completed', 12]]);
    expect(refused.filter(([outcome]) => outcome === 'failed')).toHaveLength(2);
  });

  it('are refused when they are checked where a container keeps nothing over exec, with why', async () => {
    const [exec] = await loadProfiles(join(FOLDER, 'exec.yaml'));
    const { platform } = exec!;
    const check = async (container: string): Promise<unknown> => {
      const use = { ...platform, options: { container } };
      return await checkPlugins({ ...exec!, platform: use }).catch((error: unknown) => error);
    };
    for (const container of ['type1', 'type1v2']) expect(await check(container)).toHaveProperty('platform');
    for (const container of ['iommufd', 'iommufd-type1', 'iommufd-type1v2', 'spapr-v1', 'spapr-v2', 'noiommu']) {
      expect(await check(container)).toMatchObject({
        code: 'ERR_PLUGIN_EXEC',
        message: expect.stringMatching(
          new RegExp(
            `has a container of ${container}, which cannot give .* other addresses .*, and workload.disruptions has do: exec`,
          ),
        ),
        hint: expect.stringContaining('container: type1v2'),
      });
    }
    const [legacy] = await loadProfiles(join(ROOT, 'profiles/intel-iommu.yaml'));
    const other = checkPlugins({ ...legacy!, workload: exec!.workload });
    await expect(other).rejects.toThrow(/platform intel-iommu has no process that could call exec/);
  });

  it.each(files)('%s is named after itself, and teaches', (file) => {
    const text = readFileSync(join(FOLDER, file), 'utf8');
    expect(text).toContain(`\nprofile: vfio-${basename(file, '.yaml')}\n`);
    expect(text.split('\n').filter((line) => line.startsWith('# ')).length).toBeGreaterThanOrEqual(3);
  });
});
