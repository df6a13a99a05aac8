import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { isAsExpected, runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from './command.ts';

/** Each variant of an encrypted guest, and each way in which its pool or its host fails. */
const FOLDER = join(ROOT, 'profiles', 'sev');
const files = readdirSync(FOLDER).map((name) => join(FOLDER, name));

describe('the profiles of sev', () => {
  it.each(files)('%s comes out as it says, with nothing left mapped', async (file) => {
    for (const profile of await loadProfiles(file)) {
      const report = await runProfile(profile);
      expect([report.profile, report.differences]).toEqual([profile.name, []]);
      expect([isAsExpected(report), report.dma.live]).toEqual([true, 0]);
    }
  });
});
