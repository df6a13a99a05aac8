import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { isAsExpected, runProfile } from '@virtio-platform/runner';
import { REPORT_SCHEMA } from '@virtio-platform/runner/report-schema';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { triedProfile } from '../machines/tried-requests.ts';
/** Variants of a platform, the ways in which each fails, and what is seen of a device that hides it. */
const FOLDERS = ['amd-iommu', 'intel-iommu', 'legacy', 'narrow', 'sev', 'smmuv3', 'virtio-iommu', 'withheld'].map(
  (name) => join(ROOT, 'profiles', name),
);
const files = FOLDERS.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));

describe('the profiles of amd-iommu, intel-iommu, legacy, narrow, sev, smmuv3, virtio-iommu and withheld', () => {
  it.each(files)('%s comes out as it says, with nothing left mapped', async (file) => {
    for (const profile of await loadProfiles(file)) {
      const report = await runProfile(triedProfile(profile));
      expect([report.profile, report.differences]).toEqual([profile.name, []]);
      expect([isAsExpected(report), report.dma.live]).toEqual([true, 0]);
      expect(REPORT_SCHEMA.safeParse(report).error).toBeUndefined();
    }
  });
});

describe('a mapping that is withheld', () => {
  const withheld = files.filter((file) => file.includes('withheld'));

  it.each(withheld)(
    'is found in %s when its address is given away, and by what the device did not write',
    async (file) => {
      for (const profile of await loadProfiles(file)) {
        const report = await runProfile(profile);
        const codes = report.findings.map(({ code }) => code);
        const isCopied = report.path?.startsWith('bounced') === true;
        const isPool = profile.driver.buffers === 'premapped';
        const times = (code: string): number => codes.filter((found) => found === code).length;
        expect([profile.name, times('DMA-NOT-TRANSLATED')]).toEqual([profile.name, isPool ? 1 : 2]);
        const reads = isPool ? profile.workload.requests / 2 : 1;
        expect(times('DMA-DEVICE-WROTE-NOTHING')).toBe(isCopied ? 0 : reads);
        expect(report.injected).toBe(isPool ? 1 : 2);
        // The device said of every request that all was well, and the data is wrong.
        expect(report.outcome).toBe('completed');
        expect(report.workload.errors).toBeGreaterThan(0);
      }
    },
  );

  it.each(withheld)('changes nothing in %s once the mapping is not withheld', async (file) => {
    for (const profile of await loadProfiles(file)) {
      const { failures, expect: expected, ...rest } = profile;
      const report = await runProfile({
        ...rest,
        failures: { ...failures, wrongAddress: {} },
        expect: { path: expected.path! },
      });
      expect([profile.name, report.differences]).toEqual([profile.name, []]);
    }
  });
});
