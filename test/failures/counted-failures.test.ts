import { loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

async function run(platform: string, options: object): Promise<RunReport> {
  const profile: ProfileObject = {
    profile: 'counted-failures',
    platform: { use: `@virtio-platform/platform-${platform}`, ...options },
    machine: { use: '@virtio-platform/machine-simulated', memory: '64MiB' },
    device: { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM'] },
    driver: { buffers: 'streaming' },
    workload: { kind: 'write-read-verify', requests: 64, depth: 8, blockSize: '4KiB', seed: 2 },
  };
  return await runProfile(await loadProfile(profile));
}

const EVERY_TENTH = { every: 10 };

describe('what a platform fails on purpose', () => {
  it.each([
    ['amd-iommu', { failures: { invalidation: EVERY_TENTH } }, 'invalidations'],
    ['intel-iommu', { failures: { invalidation: EVERY_TENTH } }, 'invalidations'],
    ['intel-iommu', { invalidation: 'queued', failures: { invalidation: EVERY_TENTH } }, 'invalidations'],
    ['intel-iommu', { invalidation: 'queued', failures: { timeout: EVERY_TENTH } }, 'invalidations given up'],
    ['smmuv3', { failures: { invalidation: EVERY_TENTH } }, 'invalidations'],
    ['virtio-iommu', { failures: { unmap: EVERY_TENTH } }, 'UNMAP requests'],
    ['virtio-iommu', { failures: { map: EVERY_TENTH } }, 'MAP requests'],
    ['pseries', { window: { kind: 'default' }, failures: { hypercall: EVERY_TENTH } }, 'hypercalls'],
    ['pseries', { window: { kind: 'default' }, failures: { invalidation: EVERY_TENTH } }, 'invalidations'],
    ['sev', { failures: { conversion: { nth: [2] } } }, 'conversions'],
  ])('is counted in the report of %s with %j', async (platform, options, what) => {
    const { statistics } = await run(platform, options);
    expect(statistics['failed on purpose']).toEqual({ [what]: expect.any(Number) });
    expect(statistics['failed on purpose']?.[what]).toBeGreaterThan(0);
  });

  it.each([
    ['virtio-iommu', { domain: 'bypass', failures: { map: EVERY_TENTH } }, { 'MAP requests': 0 }],
    ['intel-iommu', { domain: 'identity', failures: { invalidation: EVERY_TENTH } }, { invalidations: 0 }],
  ])('is 0 where %s never comes to it with %j', async (platform, options, counted) => {
    expect((await run(platform, options)).statistics['failed on purpose']).toEqual(counted);
  });

  it('is not in a report of what has no schedule', async () => {
    for (const options of [{}, { failures: { invalidation: { rate: 0 } } }])
      expect((await run('intel-iommu', options)).statistics).not.toHaveProperty('failed on purpose');
  });
});
