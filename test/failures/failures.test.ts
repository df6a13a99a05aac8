import { join } from 'node:path';
import { loadProfile, loadProfiles, type Profile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
const BASES = [
  'legacy-device.yaml',
  'pseries-linear.yaml',
  'pseries-dynamic.yaml',
  'sev-bounce.yaml',
  'vfio-streaming.yaml',
  'entropy.yaml',
  'net.yaml',
  'console.yaml',
];

async function load(base: string, buffers: Profile['driver']['buffers']): Promise<Profile> {
  const [profile] = await loadProfiles(join(ROOT, 'profiles', base));
  return { ...profile!, driver: { ...profile!.driver, buffers, timeoutMs: 500 } };
}

describe.each(BASES)('failures on purpose in %s', (base) => {
  it('make mappings wait, and lose nothing', async () => {
    const profile = await load(base, 'streaming');
    const report = await runProfile({
      ...profile,
      failures: { map: { rate: 0.05, seed: 3 }, region: {}, wrongAddress: {} },
    });
    expect(report.differences).toEqual([]);
    expect(report.injected).toBeGreaterThan(10);
    expect([report.workload.verified, report.dma.live]).toEqual([true, 0]);
  });

  it('end a run clearly where nothing can ever be mapped', async () => {
    const profile = await load(base, 'streaming');
    const report = await runProfile({ ...profile, failures: { map: { every: 1 }, region: {}, wrongAddress: {} } });
    // A driver that has to ask before it may send waits for an answer that never comes.
    expect(report.failure?.code).toMatch(/^(ERR_DMA_EXHAUSTED|ERR_DEVICE_STALLED)$/);
    expect([report.outcome, report.dma.live]).toEqual(['failed', 0]);
  });

  it('end a run clearly at each region in turn, and leave nothing mapped', async () => {
    const profile = await load(base, 'premapped');
    for (let nth = 1; ; nth++) {
      const report = await runProfile({ ...profile, failures: { map: {}, region: { nth: [nth] }, wrongAddress: {} } });
      if (report.injected === 0) {
        expect([nth > 2, report.outcome, report.dma.live]).toEqual([true, 'completed', 0]);
        break;
      }
      expect([nth, report.outcome, report.failure?.code, report.dma.live]).toEqual([
        nth,
        'failed',
        'ERR_DMA_EXHAUSTED',
        0,
      ]);
    }
  });
});

describe('the schedule of failures', () => {
  it('is part of a profile', async () => {
    const profile = await loadProfile(join(ROOT, 'profiles/pseries-plain.yaml'));
    expect(profile.failures).toEqual({ map: {}, region: {}, wrongAddress: {} });
  });
});
