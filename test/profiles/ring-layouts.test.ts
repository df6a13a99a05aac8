import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function runAll(name: string, text: string): Promise<RunReport[]> {
  const path = join(folder, name);
  writeFileSync(path, text);
  const reports: RunReport[] = [];
  for (const profile of await loadProfiles(path)) reports.push(await runProfile(profile));
  return reports;
}

describe('a profile’s ring', () => {
  it.each(['transitional-device', 'no-iommu-identity', 'pseries-linear', 'pseries-dynamic', 'sev-bounce', 'vfio-pool'])(
    'under %s is what its driver supports, at any size, in order or not, here or in a worker',
    async (base) => {
      const reports = await runAll(
        `${base}.yaml`,
        `extends: ${join(ROOT, 'profiles', `${base}.yaml`)}
profile: layouts
workload: { requests: 300, depth: 20 }
matrix:
  queue:
    - { layout: packed, size: 100 }
    - { layout: packed, size: 21 }
    - { layout: split, size: 64 }
  device.offers:
    - [VERSION_1, ${base === 'transitional-device' ? '' : 'ACCESS_PLATFORM, '}RING_PACKED, IN_ORDER, RING_EVENT_IDX, BLK_SEG_MAX]
    - [VERSION_1, ${base === 'transitional-device' ? '' : 'ACCESS_PLATFORM, '}RING_PACKED, RING_INDIRECT_DESC, BLK_SEG_MAX]
  machine.device: [same-thread, worker]
`,
      );
      expect(reports).toHaveLength(12);
      for (const { profile, queue, differences, features, workload, dma } of reports) {
        expect(profile).toContain(`layout=${queue?.layout}`);
        expect(profile).toContain(`size=${queue?.size}`);
        expect(differences, profile).toEqual([]);
        expect(features.accepted.includes('RING_PACKED'), profile).toBe(profile.includes('layout=packed'));
        expect(workload, profile).toMatchObject({ requests: 300, errors: 0, verified: true });
        expect(dma.live, profile).toBe(0);
      }
    },
  );

  it.each([
    ['', ['queue.layout: asked for packed, obtained split', 'queue.size: asked for 100, obtained 64']],
    ['expect: { queue: any }', []],
  ])('T4 is split, of a power of two, where the device has no packed one: %s', async (expected, differences) => {
    const [report] = await runAll(
      'fallback.yaml',
      `extends: ${join(ROOT, 'profiles/pseries-plain.yaml')}
profile: fallback
queue: { layout: packed, size: 100 }
${expected}
`,
    );
    expect(report).toMatchObject({ outcome: 'completed', differences, workload: { verified: true } });
    expect(report?.queue).toEqual({ layout: 'split', size: 64 });
    expect(report?.features.accepted).not.toContain('RING_PACKED');
  });

  it('T4 is smaller than asked for where the device has no more entries', async () => {
    const [asked, left] = await runAll(
      'smaller.yaml',
      `extends: ${join(ROOT, 'profiles/pseries-plain.yaml')}
profile: smaller
matrix:
  - queue: { size: 32768 }
  - queue: { size: 1024 }
`,
    );
    const most = asked!.queue!.size;
    expect(asked?.differences).toEqual([`queue.size: asked for 32768, obtained ${most}`]);
    expect([most, left?.differences]).toEqual([1024, []]);
  });
});
