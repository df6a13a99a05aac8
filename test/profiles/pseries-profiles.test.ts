import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles, type Profile } from '@virtio-platform/profile';
import { isAsExpected, runProfile, type RunReport } from '@virtio-platform/runner';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
const FOLDER = join(ROOT, 'profiles/pseries');
const files = readdirSync(FOLDER).toSorted();

interface Run {
  readonly file: string;
  readonly profile: Profile;
  readonly report: RunReport;
}

describe('the profiles of pseries', () => {
  const runs: Run[] = [];

  beforeAll(async () => {
    for (const file of files) {
      for (const profile of await loadProfiles(join(FOLDER, file)))
        runs.push({ file, profile, report: await runProfile(profile) });
    }
  });

  it.each(files)('%s comes out as it says, leaves nothing mapped, and is named after its file', (file) => {
    const ofFile = runs.filter((run) => run.file === file);
    expect(ofFile.length).toBeGreaterThanOrEqual(2);
    for (const { profile, report } of ofFile) {
      expect(`${profile.name.split(' [', 1)[0]!.replace('pseries-', '')}.yaml`).toBe(file);
      expect([profile.name, report.differences]).toEqual([profile.name, []]);
      expect(isAsExpected(report)).toBe(true);
      expect(report.dma.maps).toBe(report.dma.unmaps);
      expect(report.dma.live).toBe(0);
    }
  });

  it.each(files)('%s teaches, and says of each run what is expected', (file) => {
    const text = readFileSync(join(FOLDER, file), 'utf8');
    expect(text.match(/^\s*# [^y]/gm)!.length).toBeGreaterThanOrEqual(2);
    const parts = text.slice(text.indexOf('\nmatrix:')).match(/^ {2}- /gm)!;
    expect(text.match(/expect: \{/g)!.length).toBe(parts.length);
  });

  it('never say that all is well of a run that moved a wrong byte', () => {
    for (const { report } of runs) {
      expect(report.workload.errors).toBe(0);
      expect([report.profile, report.workload.verified]).toEqual([report.profile, report.outcome === 'completed']);
    }
  });

  it('end in a clear error where they fail: with a code; and what the platform refused says what to do', () => {
    const failures = runs.flatMap(({ report }) => report.failure ?? []);
    expect(new Set(failures.map(({ code }) => code))).toEqual(
      new Set([
        'ERR_DEVICE_FROZEN',
        'ERR_DEVICE_NEEDS_RESET',
        'ERR_DEVICE_STALLED',
        'ERR_DMA_EXHAUSTED',
        'ERR_DMA_RANGE',
        'ERR_DMA_WINDOW',
      ]),
    );
    for (const { hint } of failures.filter(({ code }) => code.startsWith('ERR_DMA'))) expect(hint).toMatch(/./);
  });

  it('show each variant of the platform', () => {
    const texts = files.map((file) => readFileSync(join(FOLDER, file), 'utf8')).join('\n');
    for (const word of ['4KiB', '64KiB', '2MiB', '16MiB', 'kvm', 'replace', 'none', 'linux', 'secure: true', 'big'])
      expect(texts).toContain(word);
    for (const kind of ['hypercall: {', 'window: { nth', 'share: {', 'invalidation: {']) expect(texts).toContain(kind);
    expect(new Set(runs.map(({ report }) => report.path))).toEqual(
      new Set([
        null,
        'physical',
        'identity',
        'linear',
        'translated',
        'bounced',
        'bounced+linear',
        'bounced+translated',
      ]),
    );
  });
});

describe('a device that does not notice the mapping that Linux only printed', () => {
  it('completes, and the comparison of the data is what tells', async () => {
    const [profile] = await loadProfiles(join(FOLDER, 'hypercall-only-printed.yaml'));
    const report = await runProfile({
      ...profile!,
      machine: { ...profile!.machine, options: { onFault: 'zeros' } },
      expect: { faults: 1 },
    });
    expect(report).toMatchObject({ outcome: 'completed', workload: { verified: false, errors: 1 }, dma: { live: 0 } });
    expect(report.differences).toEqual(['verified: expected true, was false']);
    expect(report.faults).toMatchObject([{ cause: 'unmapped', access: 'read' }]);
  });
});
