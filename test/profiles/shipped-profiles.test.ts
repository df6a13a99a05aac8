import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { loadProfile, loadProfiles } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { REPORT_SCHEMA } from '@virtio-platform/runner/report-schema';
import { beforeAll, describe, expect, it } from 'vitest';
import { reportsOf, ROOT, virtioPlatform, type CommandResult } from '../command/command.ts';
const FOLDER = join(ROOT, 'profiles');
const embedded = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
const runs = (await Promise.all(embedded.map((name) => loadProfiles(join(FOLDER, name))))).flat();
const refused = readdirSync(join(FOLDER, 'refused'));

describe('the shipped profiles', () => {
  let result: CommandResult;
  let reports: RunReport[];
  beforeAll(async () => {
    result = await virtioPlatform(['run', '--json']);
    reports = reportsOf(result);
  }, 120_000);

  it('are at least ten, across the eight platforms', () => {
    expect(embedded.length).toBeGreaterThanOrEqual(10);
    expect(new Set(reports.map(({ platform }) => platform))).toEqual(
      new Set(['amd-iommu', 'intel-iommu', 'legacy', 'pseries', 'sev', 'smmuv3', 'vfio', 'virtio-iommu']),
    );
  });

  it('all run when none is named, and exit 0', () => {
    expect(result.status).toBe(0);
    expect(reports.map(({ profile }) => profile).toSorted()).toEqual(runs.map(({ name }) => name).toSorted());
  });

  it.each(runs)('$name is named after its file', ({ name, file }) => {
    expect(name.split(' [', 1)).toEqual([basename(file, '.yaml')]);
  });

  it.each(runs)('$name completes, verifies, and leaves nothing behind', ({ name, workload }) => {
    const report = reports.find(({ profile }) => profile === name)!;
    expect(report).toMatchObject({
      outcome: 'completed',
      faults: [],
      findings: [],
      differences: [],
      refusal: null,
      failure: null,
    });
    const { requests } = workload;
    const { blockSize } = workload.options as { readonly blockSize: number };
    expect(report.workload).toMatchObject({ errors: 0, verified: true, requests });
    // Only a block device has to move whole requests, and a flush moves none.
    const [least, most] =
      workload.kind === 'write-read-verify' ? [requests * blockSize, requests * blockSize] : [requests, Infinity];
    expect(report.workload.bytes).toBeGreaterThanOrEqual(least);
    expect(report.workload.bytes).toBeLessThanOrEqual(most);
    expect(report.dma.live).toBe(0);
    expect(report.dma.maps).toBe(report.dma.unmaps);
  });

  it('have reports with the fields of the published schema, and no other', () => {
    for (const report of reports) expect(REPORT_SCHEMA.safeParse(report).error).toBeUndefined();
  });

  it('show every path', () => {
    const paths = new Set(reports.map(({ path }) => path));
    for (const path of ['physical', 'identity', 'linear', 'translated', 'bounced']) expect(paths).toContain(path);
  });

  it('bounce where they say so and nowhere else', () => {
    const coherent = new Set(runs.filter(({ driver }) => driver.buffers === 'coherent').map(({ name }) => name));
    expect(coherent.size).toBeGreaterThan(0);
    for (const { profile, path, dma, workload } of reports) {
      // Memory the device and the driver share from the start is never copied, however the rest is mapped.
      const copied = path?.startsWith('bounced') === true && !coherent.has(profile);
      if (copied) expect(dma.bytesBounced).toBeGreaterThanOrEqual(workload.bytes);
      else expect(dma.bytesBounced).toBe(0);
    }
  });

  it.each(embedded)('%s teaches: it has comments of more than a line', (name) => {
    const comments = readFileSync(join(FOLDER, name), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('# '));
    expect(comments.length).toBeGreaterThanOrEqual(2);
  });
});

describe('the profiles that are refused', () => {
  it.each(refused)('%s is refused before anything is mapped, as it expects', async (name) => {
    const report = await runProfile(await loadProfile(join(FOLDER, 'refused', name)));
    expect(report.outcome).toBe('refused');
    expect(report.differences).toEqual([]);
    expect(report.dma).toEqual({ maps: 0, unmaps: 0, bytesBounced: 0, live: 0, leaked: 0, pool: null });
    expect(report.refusal?.rule).toMatch(/./);
  });
});
