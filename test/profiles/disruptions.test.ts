import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a shipped profile with changes, written as YAML. */
async function run(base: string, changes: string): Promise<RunReport> {
  const file = join(folder, 'profile.yaml');
  writeFileSync(file, `extends: ${join(ROOT, 'profiles', base)}\nprofile: interrupted\n${changes}\n`);
  const [profile] = await loadProfiles(file);
  return runProfile({ ...profile!, expect: {} });
}

const OFFERS = 'offers: [VERSION_1, ACCESS_PLATFORM, RING_PACKED, RING_EVENT_IDX, RING_RESET, SUSPEND]';

describe('a workload that is interrupted', () => {
  it.each(['same-thread', 'worker'])('makes again what a queue reset took back: device in %s', async (device) => {
    const report = await run(
      'sev-bounce.yaml',
      `device: { ${OFFERS} }
machine: { device: ${device} }
workload:
  disruptions:
    - { after: 100, do: reset-queues }
    - { after: 300, do: reset-queues, size: 16 }
    - { after: 301, do: suspend }
    - { after: 600, do: reset-queues, size: 1024 }`,
    );
    expect(report.differences).toEqual([]);
    expect(report.workload).toMatchObject({ requests: 2000, errors: 0, verified: true, interruptions: 4 });
    expect(report.workload.repeated).toBeGreaterThan(0);
    expect(report.dma.maps).toBe(report.dma.unmaps);
  });

  it('reads no random bytes twice, whatever was taken back', async () => {
    const report = await run(
      'entropy.yaml',
      `device: { ${OFFERS}, seed: 5 }
machine: { device: worker }
queue: { layout: packed, size: 30 }
workload: { disruptions: [{ after: 10, do: reset-queues, size: 7 }, { after: 500, do: reset-queues, size: 100 }] }`,
    );
    expect(report.workload).toMatchObject({ requests: 1000, errors: 0, verified: true, interruptions: 2 });
    expect(report.dma.live).toBe(0);
  });

  it.each(['net.yaml', 'console.yaml'])('loses no message of %s when the device is suspended', async (base) => {
    const report = await run(
      base,
      `device: { ${OFFERS} }
machine: { device: worker }
workload: { kind: stream, disruptions: [{ after: 1, do: suspend }, { after: 700, do: suspend }] }`,
    );
    expect(report.workload).toMatchObject({ requests: 2000, errors: 0, verified: true, interruptions: 2 });
  });

  it('fails where the feature was not negotiated', async () => {
    const [legacy] = await loadProfiles(join(ROOT, 'profiles/legacy-device.yaml'));
    const workload = { ...legacy!.workload, disruptions: [{ after: 5, do: 'suspend' } as const] };
    const report = await runProfile({ ...legacy!, workload, expect: {} });
    expect(report).toMatchObject({ outcome: 'failed', failure: { code: 'ERR_FEATURE_REQUIRED' }, dma: { live: 0 } });
  });

  it('fails clearly, with nothing left behind, in a queue that cannot hold one request', async () => {
    const report = await run(
      'vfio-streaming.yaml',
      `device: { ${OFFERS} }
workload: { disruptions: [{ after: 40, do: reset-queues, size: 2 }] }`,
    );
    expect(report.failure).toMatchObject({ code: 'ERR_QUEUE_TOO_SMALL' });
    expect(report.dma.live).toBe(0);
  });
});

describe('an interruption that is impossible', () => {
  it.each([
    ['suspend', 'console.yaml', '{ after: 5, do: suspend, size: 4 }', /only reset-queues has a size/],
    ['a reset', 'console.yaml', '{ after: 5, do: reset-queues }', /messages of a console device/],
    [
      'a reset to a size',
      'pseries-plain.yaml',
      '{ after: 5, do: reset-queues, size: 3 }',
      /power of two of entries, not 3/,
    ],
    ['something else', 'pseries-plain.yaml', '{ after: 5, do: nothing }', /must be one of reset-queues, suspend/],
  ])('is refused by the profile: %s', async (_what, base, interruption, message) => {
    const profile = run(base, `device: { ${OFFERS} }\nworkload: { disruptions: [${interruption}] }`);
    await expect(profile).rejects.toThrow(message);
  });
});
