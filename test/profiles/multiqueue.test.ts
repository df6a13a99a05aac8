import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { composeRun, loadProfile, loadProfiles, type Profile } from '@virtio-platform/profile';
import { RunSession, runProfile, type WorkloadReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { QEMU_TESTS } from '../machines/qemu-installed.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The embedded profile with changes, written as YAML. */
async function changed(changes: string): Promise<Profile> {
  const file = join(folder, 'profile.yaml');
  const extended = `extends: ${join(ROOT, 'profiles/block-multiqueue.yaml')}\nprofile: changed\nmatrix: []\n`;
  writeFileSync(file, `${extended}${changes}\n`);
  return { ...(await loadProfile(file)), expect: {} };
}

interface Seen {
  readonly report: WorkloadReport;
  /** How often the device was notified of each queue, by index. */
  readonly notified: readonly number[];
}

/** Runs a profile, and sees which queues the driver used. */
async function watch(profile: Profile): Promise<Seen> {
  const run = await composeRun(profile);
  try {
    const { transport } = run.machine;
    const notified: number[] = [];
    const notify = transport.notify.bind(transport);
    transport.notify = (queue, next) => {
      notified[queue] = (notified[queue] ?? 0) + 1;
      notify(queue, next);
    };
    const session = new RunSession(run);
    await session.start();
    await session.run();
    const report = session.workload!;
    session.end();
    expect(session.dma.live).toBe(0);
    session.dispose();
    return { report, notified };
  } finally {
    await run.dispose();
  }
}

const PLACES = [
  ['split', 'same-thread'],
  ['split', 'worker'],
  ['packed', 'same-thread'],
  ['packed', 'worker'],
] as const;

describe.each(PLACES)('four queues of a block device: %s, device in %s', (layout, device) => {
  const place = `queue: { layout: ${layout} }\nmachine: { device: ${device} }\n`;

  it('all do their part, and what a reset took back is made again', async () => {
    const interruptions = '[{ after: 900, do: reset-queues, size: 16 }, { after: 2000, do: reset-queues, size: 128 }]';
    const seen = await watch(await changed(`${place}workload: { disruptions: ${interruptions} }`));
    expect(seen.report).toMatchObject({ requests: 4000, errors: 0, verified: true, interruptions: 2 });
    expect(seen.report.repeated).toBeGreaterThan(0);
    expect(seen.notified).toHaveLength(4);
    for (const count of seen.notified) expect(count).toBeGreaterThan(2);
  });

  it('are left alone where the depth has no request for them', async () => {
    const seen = await watch(await changed(`${place}workload: { depth: 2, disruptions: [] }`));
    expect(seen.report).toMatchObject({ errors: 0, verified: true });
    expect(seen.notified).toHaveLength(2);
  });

  it('are one without BLK_MQ', async () => {
    const seen = await watch(await changed(`${place}driver: { lacks: [BLK_MQ] }`));
    expect(seen.report).toMatchObject({ errors: 0, verified: true });
    expect(seen.notified).toHaveLength(1);
  });
});

describe('four queues of a block device', () => {
  it.each(['split', 'packed'])('go on where a mapping in ten finds no room: %s', async (layout) => {
    const report = await runProfile(await changed(`queue: { layout: ${layout} }\nfailures: { map: { every: 10 } }`));
    expect(report).toMatchObject({ failure: null, workload: { requests: 4000, errors: 0, verified: true } });
    expect(report.injected).toBeGreaterThan(100);
    expect(report.dma.live).toBe(0);
  });

  it.each([
    ['ring', 4],
    ['buffers', 15],
  ])('give back everything when the %s of the last one does not fit', async (_what, region) => {
    const report = await runProfile(
      await changed(`driver: { buffers: premapped }\nfailures: { region: { nth: [${region}] } }`),
    );
    expect(report).toMatchObject({ outcome: 'failed', injected: 1, workload: { requests: 0 }, dma: { live: 0 } });
  });

  it.each(['split', 'packed'])('are driven without a mistake, as the sanitizer sees it: %s', async (layout) => {
    const profile = await changed(`queue: { layout: ${layout} }\nworkload: { requests: 400 }`);
    const workload = { ...profile.workload, disruptions: [{ after: 100, do: 'reset-queues', size: 32 } as const] };
    const report = await runProfile({ ...profile, workload }, { sanitize: true });
    expect(report).toMatchObject({ findings: [], workload: { errors: 0, verified: true, interruptions: 1 } });
  });

  it.each(['little', 'big'])('are told to a legacy driver of a %s-endian guest', async (guestEndian) => {
    const [legacy] = await loadProfiles(join(ROOT, 'profiles/legacy-device.yaml'));
    const platform = { ...legacy!.platform, options: { ...legacy!.platform.options, guestEndian } };
    const settings = { ...(legacy!.device.settings as object), queues: 4 };
    const device = { ...legacy!.device, settings, offers: undefined };
    const seen = await watch({ ...legacy!, platform, device });
    expect(seen.report).toMatchObject({ errors: 0, verified: true });
    expect(seen.notified).toHaveLength(4);
  });
});

describe.skipIf(!QEMU_TESTS.mayRun)(`the queues of QEMU's block device (${QEMU_TESTS.needs})`, () => {
  it.each([0, 1])('all do their part: run %d of the profile', async (index) => {
    const profiles = await loadProfiles(join(ROOT, 'profiles/qemu/block-multiqueue.yaml'));
    const profile = profiles[index]!;
    const seen = await watch({ ...profile, workload: { ...profile.workload, requests: 2000 } });
    expect(seen.report).toMatchObject({ requests: 2000, errors: 0, verified: true });
    expect(seen.notified).toHaveLength(4);
    for (const count of seen.notified) expect(count).toBeGreaterThan(2);
  });

  it('all do their part through I/O ports', async () => {
    const [legacy] = await loadProfiles(join(ROOT, 'profiles/qemu/legacy.yaml'));
    const workload = { ...legacy!.workload, requests: 2000 };
    const settings = { ...(legacy!.device.settings as object), queues: 4 };
    const seen = await watch({ ...legacy!, workload, device: { ...legacy!.device, settings } });
    expect(seen.report).toMatchObject({ requests: 2000, errors: 0, verified: true });
    expect(seen.notified).toHaveLength(4);
  });
});
