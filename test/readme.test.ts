import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './command.ts';

const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const files = [...README.matchAll(/```yaml file=(\S+)\n([\s\S]*?)```/g)].map(([, name, text]) => ({
  name: name!,
  text: text!,
}));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the README', () => {
  it.each(files.map(({ name }) => name))('has a profile %s that runs as it says', async (name) => {
    for (const profile of await loadProfiles(join(folder, name))) {
      const report = await runProfile(profile);
      expect([report.profile, report.differences]).toEqual([profile.name, []]);
      expect(report.workload.verified).toBe(true);
    }
  });

  it('shows the profiles that are shipped', () => {
    const shown = README.slice(README.indexOf('```text'), README.indexOf('runs as expected'));
    for (const name of ['legacy-device', 'pseries-linear', 'sev-bounce', 'vfio-pool', 'vfio-worker'])
      expect(shown).toContain(name);
  });
});
