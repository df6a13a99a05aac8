import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { isAsExpected, runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from './command.ts';

/** Folders of profiles that show one platform in all its variants. */
const FOLDERS = ['pseries', 'sev'].map((name) => join(ROOT, 'profiles', name)).filter((path) => existsSync(path));
const files = FOLDERS.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));

describe('the variants of the platforms', () => {
  it.each(files)('%s comes out as it says, with nothing left mapped', async (file) => {
    for (const profile of await loadProfiles(file)) {
      const report = await runProfile(profile);
      expect([report.profile, report.differences]).toEqual([profile.name, []]);
      expect([isAsExpected(report), report.dma.live]).toEqual([true, 0]);
    }
  });
});
