import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { isAsExpected, runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from './command.ts';

/** Variants of a platform, and the ways in which each fails. */
const FOLDERS = ['intel-iommu', 'legacy', 'sev'].map((name) => join(ROOT, 'profiles', name));
const files = FOLDERS.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));

describe('the profiles of intel-iommu, legacy and sev', () => {
  it.each(files)('%s comes out as it says, with nothing left mapped', async (file) => {
    for (const profile of await loadProfiles(file)) {
      const report = await runProfile(profile);
      expect([report.profile, report.differences]).toEqual([profile.name, []]);
      expect([isAsExpected(report), report.dma.live]).toEqual([true, 0]);
    }
  });
});
