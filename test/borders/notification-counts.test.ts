import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NotificationCounts } from '@virtio-platform/core';
import { composeRun, loadProfiles } from '@virtio-platform/profile';
import { RunSession } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What the devices of a profile's runs count. */
async function countsOf(base: string, text: string): Promise<NotificationCounts[]> {
  const path = join(folder, `${base}.yaml`);
  writeFileSync(path, `extends: ${join(ROOT, 'profiles', `${base}.yaml`)}\nprofile: counts\n${text}`);
  const counts: NotificationCounts[] = [];
  for (const profile of await loadProfiles(path)) {
    const run = await composeRun(profile);
    const session = new RunSession(run);
    await session.start();
    await session.run();
    expect(session.workload?.verified).toBe(true);
    session.end();
    session.dispose();
    counts.push({ ...run.machine.notifications! });
    await run.dispose();
  }
  return counts;
}

describe.each(['same-thread', 'worker'])('a driver that keeps the rules, device in %s', (device) => {
  it.each(['block-multiqueue', 'console', 'net', 'entropy', 'ring-features', 'legacy-device', 'vfio-pool'])(
    'T2 misses no notification: %s',
    async (base) => {
      const counts = await countsOf(base, `machine: { device: ${device} }\nworkload: { requests: 300 }\n`);
      expect(counts.length).toBeGreaterThan(0);
      for (const { needed, received, missed } of counts) {
        expect(missed).toBe(0);
        expect(needed).toBeGreaterThan(0);
        expect(received).toBeGreaterThan(0);
      }
    },
  );
});
