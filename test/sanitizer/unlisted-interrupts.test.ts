import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

/** A device in a guest of 4 GiB writes where an IOMMU of x86 has interrupts. */
async function run(platform: string, offers: object): Promise<RunReport> {
  const profile = await loadProfile({
    profile: 'unlisted-interrupts',
    platform: { use: `@virtio-platform/platform-${platform}` },
    machine: {
      use: '@virtio-platform/machine-simulated',
      memory: '4GiB',
      rogue: [{ after: 5, access: 'write', address: 0xfee0_0010, length: 4 }],
    },
    device: { type: 'entropy', ...offers },
    driver: { sanitize: true },
    workload: { kind: 'read', requests: 20, depth: 1, blockSize: '64B' },
  });
  return await runProfile(profile);
}

describe.each(['intel-iommu', 'amd-iommu', 'virtio-iommu'])('a write to 0xfee00010 before %s', (platform) => {
  it('is memory where the device does not offer ACCESS_PLATFORM, listed or not', async () => {
    const listed = await run(platform, { offers: ['VERSION_1'] });
    const unlisted = await run(platform, {});
    expect(unlisted.path).toBe('physical');
    expect(unlisted.sanitizer?.findings).toBe(listed.sanitizer?.findings);
    expect(unlisted.sanitizer?.findings).toBeGreaterThan(1);
  });

  it('is an interrupt where the device offers it', async () => {
    const report = await run(platform, { offers: ['VERSION_1', 'ACCESS_PLATFORM'] });
    expect(report.sanitizer?.findings).toBe(0);
  });
});
