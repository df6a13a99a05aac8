import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(text: string): Promise<RunReport> {
  const path = join(folder, 'limits.yaml');
  writeFileSync(path, `profile: limits\n${text}`);
  const [profile] = await loadProfiles(path);
  return runProfile(profile!);
}

const WORK = 'workload: { kind: write-read-verify, requests: 40, depth: 8, blockSize: 300KiB }';

describe('the limits of a device and its platform', () => {
  it.each(['same-thread', 'worker'])(
    'C2 are obeyed by requests longer than a slot of the pool, without BLK_SEG_MAX: device in %s',
    async (device) => {
      const report = await run(`
platform: { use: "@virtio-platform/platform-sev", pool: 4MiB }
machine: { use: "@virtio-platform/machine-simulated", memory: 32MiB, device: ${device} }
device: { type: block, capacity: 8MiB, offers: [VERSION_1, ACCESS_PLATFORM] }
driver: { buffers: streaming }
${WORK}
`);
      expect(report).toMatchObject({ outcome: 'completed', failure: null, dma: { live: 0 } });
      expect(report.workload).toMatchObject({ requests: 40, errors: 0, verified: true });
    },
  );

  it.each([
    ['[VERSION_1, BLK_RO]', ''],
    ['[VERSION_1, BLK_RO]', ', lacks: [BLK_RO]'],
  ])('T7 end a workload that writes to a read-only disk at start: offers %s%s', async (offers, driver) => {
    const report = await run(`
platform: { use: "@virtio-platform/platform-legacy" }
machine: { use: "@virtio-platform/machine-simulated", memory: 32MiB }
device: { type: block, capacity: 8MiB, readOnly: true, offers: ${offers} }
driver: { buffers: streaming${driver} }
${WORK}
`);
    expect(report).toMatchObject({ outcome: 'failed', failure: { code: 'ERR_DEVICE_READ_ONLY' }, dma: { live: 0 } });
    expect(report.failure?.message).toContain('5.2.5');
    expect(report.workload.requests).toBe(0);
  });
});
