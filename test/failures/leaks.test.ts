import { join } from 'node:path';
import { loadProfiles, type Profile } from '@virtio-platform/profile';
import { isAsExpected, runProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { commandHere, reportsOf, ROOT } from '../command/command.ts';

async function profileOf(file: string): Promise<Profile> {
  const [profile] = await loadProfiles(join(ROOT, file));
  return profile!;
}

/** Runs a profile with failures beneath its platform at one time after the other, and gives the reports. */
async function runAll(file: string, times: readonly number[][], kind: string): Promise<RunReport[]> {
  const profile = await profileOf(file);
  const { platform, driver, workload } = profile;
  const reports: RunReport[] = [];
  for (const nth of times) {
    const options = { ...(platform.options as object), failures: { [kind]: { nth } } };
    reports.push(
      await runProfile({
        ...profile,
        platform: { ...platform, options },
        driver: { ...driver, buffers: 'streaming' },
        workload: { ...workload, requests: 32 },
        expect: {},
      }),
    );
  }
  return reports;
}

/** A run that completed and left something with the device. */
function leaking(reports: readonly RunReport[]): RunReport {
  const found = reports.find(({ outcome, leaked }) => outcome === 'completed' && leaked.count > 0);
  expect(reports.map(({ outcome, leaked }) => [outcome, leaked.count])).toContainEqual(['completed', 1]);
  return found!;
}

describe('what a platform cannot take back', () => {
  it('is in the report of sev: pages that do not become private again', async () => {
    const times = Array.from({ length: 8 }, (_, i) => [i + 1]);
    const report = leaking(await runAll('profiles/sev-bounce.yaml', times, 'conversion'));
    expect(report.leaked.first[0]).toEqual({
      what: 'pages that the host refused to make private again',
      address: expect.stringMatching(/^0x[0-9a-f]+000$/),
      length: expect.any(Number),
    });
    expect([report.dma.live, report.workload.verified]).toEqual([0, true]);
    expect(report.differences).toEqual(['leaked: expected 0, was 1']);
    expect(isAsExpected(report)).toBe(false);
  });

  it('is in the report of pseries: TCEs that the hypervisor does not clear', async () => {
    // The platform tries each three times.
    const times = Array.from({ length: 60 }, (_, i) => [i + 1, i + 2, i + 3]);
    const reports = await runAll('profiles/pseries-dynamic.yaml', times, 'hypercall');
    const report = leaking(reports);
    expect(report.leaked.first[0]!.what).toMatch(/^the hypervisor did not clear the TCEs of bus address 0x[0-9a-f]+$/);
    expect(report.dma).toMatchObject({ live: 0, leaked: 1, maps: report.dma.unmaps + 1 });
    for (const { dma, leaked } of reports) expect(dma.maps - dma.unmaps).toBe(leaked.count);
  });

  it('is no difference where the profile expects it', async () => {
    const path = join(ROOT, 'test/outside/xen-grants/profiles/leak-at-reset.yaml');
    const [profile] = await loadProfiles(path);
    const report = await runProfile(profile!);
    expect([report.leaked.count, report.differences]).toEqual([1, []]);
    const other = await runProfile({ ...profile!, expect: { ...profile!.expect, leaked: 2 } });
    expect(other.differences).toEqual(['leaked: expected 2, was 1']);
  });

  it('is in the table for people and in --json, with what the platform shows of itself', async () => {
    const path = join(ROOT, 'test/outside/xen-grants/profiles/leak-at-reset.yaml');
    const table = (await commandHere(['run', path, '--reporter', 'table', '--verbose'])).stdout;
    expect(table).toContain('verified, 1 leaked');
    expect(table).toMatch(
      /leaked: 16384 bytes at 0x[0-9a-f]+: of the grants \d+ to \d+ some are still in use by domain 0/,
    );
    expect(table).toMatch(/grants: 0 used, \d+ most, [\d,]+ free, 1 inUse, 0 exhausted/);
    const [report] = reportsOf(await commandHere(['run', path, '--json']));
    expect(report).toMatchObject({ leaked: { count: 1 }, statistics: { grants: { used: 0, inUse: 1 } } });
  });
});
