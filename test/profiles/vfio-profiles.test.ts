import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CONTAINER_TYPES, vfioOptionsSchema } from '@virtio-platform/platform-vfio';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
const FOLDER = join(ROOT, 'profiles/vfio');
const files = readdirSync(FOLDER);
const runs = (await Promise.all(files.map((name) => loadProfiles(join(FOLDER, name))))).flat();

/** Why those fail that are there to fail: an errno says it, and the message what it means. */
const FAILURES: Readonly<Record<string, readonly RegExp[]>> = {
  'vfio-memory-lock': [
    /ENOMEM; \d+ bytes are pinned, of the 65536 that may be/,
    /ENOMEM; \d+ bytes are pinned, of the 8388608/,
  ],
  'vfio-spapr-v1': [/^cannot enable the container: ENOMEM$/],
  'vfio-spapr-v2': [/^cannot map through TCEs of 2MiB: EPERM$/, /^cannot register 16777216 bytes of memory: ENOMEM$/],
  'vfio-iommufd': [/to an I\/O virtual address: ENOMEM/],
};

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
      ({ profile, outcome }) => outcome === 'completed' && profile.includes('streaming'),
    );
    expect(streaming.length).toBeGreaterThanOrEqual(4);
    expect(streaming.filter(({ dma, workload }) => dma.maps < 3 * workload.requests)).toEqual([]);
  });

  it.each(files)('%s is named after itself, and teaches', (file) => {
    const text = readFileSync(join(FOLDER, file), 'utf8');
    expect(text).toContain(`\nprofile: vfio-${basename(file, '.yaml')}\n`);
    expect(text.split('\n').filter((line) => line.startsWith('# ')).length).toBeGreaterThanOrEqual(3);
  });
});
