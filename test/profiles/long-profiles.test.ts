import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { MANY_REQUESTS, triedProfile } from '../machines/tried-requests.ts';

const FOLDER = join(ROOT, 'profiles/long');

describe('the profiles with 20,000 requests', () => {
  it.each(readdirSync(FOLDER))('%s has a disk and a network device, split and packed, verified', async (name) => {
    const profiles = await loadProfiles(join(FOLDER, name));
    const shapes = profiles.map(({ device, queue }) => `${device.type.name} ${queue.layout}`);
    expect(shapes).toEqual(['block split', 'block packed', 'net split', 'net packed']);
    for (const profile of profiles) {
      expect([profile.name, profile.workload.requests]).toEqual([profile.name, MANY_REQUESTS]);
      const report = await runProfile(triedProfile(profile));
      expect([report.profile, report.differences, report.workload.verified]).toEqual([profile.name, [], true]);
      expect([report.queue?.layout, report.dma.live]).toEqual([profile.queue.layout, 0]);
    }
  });
});
