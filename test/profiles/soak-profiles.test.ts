import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
const FOLDER = join(ROOT, 'profiles', 'soak');
const profiles = (await Promise.all(readdirSync(FOLDER).map((name) => loadProfiles(join(FOLDER, name))))).flat();

/** `npm run soak` runs all million requests of each; here are the first ones. */
describe('the profiles of the soak', () => {
  it('ask for a million requests on each platform', () => {
    expect(new Set(profiles.map(({ platform }) => platform.use)).size).toBe(8);
    for (const { workload } of profiles) expect(workload.requests).toBe(1_000_000);
  });

  it.each(profiles)('$name makes up for each mapping that fails', async (profile) => {
    const report = await runProfile({ ...profile, workload: { ...profile.workload, requests: 5000 } });
    expect(report).toMatchObject({ outcome: 'completed', faults: [], workload: { errors: 0, verified: true } });
    expect(report.injected).toBeGreaterThan(50);
    expect([report.dma.live, report.dma.maps]).toEqual([0, report.dma.unmaps]);
  });
});
