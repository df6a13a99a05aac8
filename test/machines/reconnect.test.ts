import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { loadProfile } from '@virtio-platform/profile';
import { startProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KilledDisk } from '../killed-disk.ts';
import { numbersOf } from '../seeded-numbers.ts';

/** How often the back-end is killed for each ring: once here, and 100 times with `npm run reconnect`. */
const KILLS = Number(process.env['RECONNECTS'] ?? 1);
/** Milliseconds that it works before it is killed, at most. */
const LONGEST_LIFE_MS = 60;
/** Requests that no back-end does in that time, each time. */
const REQUESTS_A_LIFE = 6000;
/** What the start of a process takes on a slow computer. */
const START_MS = 20_000;
const CAPACITY = 4 << 20;
const RUN_MS = 60_000 + KILLS * START_MS;

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

const RING = ['VERSION_1', 'RING_EVENT_IDX', 'RING_INDIRECT_DESC'];
const BLOCK = ['BLK_SEG_MAX', 'BLK_BLK_SIZE', 'BLK_FLUSH', 'BLK_MQ'];
const BITS: Readonly<Record<string, number>> = {
  VERSION_1: 32,
  RING_EVENT_IDX: 29,
  RING_INDIRECT_DESC: 28,
  RING_PACKED: 34,
  IN_ORDER: 35,
  BLK_SEG_MAX: 2,
  BLK_BLK_SIZE: 6,
  BLK_FLUSH: 9,
  BLK_MQ: 12,
};

function profileOf(socket: string, layout: string, offers: readonly string[]): object {
  const reconnect = { attempts: 1000, interval: 20 };
  return {
    profile: 'reconnected',
    summary: 'A disk that is killed while it works.',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-vhost-user', memory: '16MiB', socket, reconnect },
    device: { type: 'block', capacity: '4MiB', queues: 2, offers: [...RING, ...offers, ...BLOCK] },
    driver: { timeout: `${START_MS}ms` },
    queue: { layout, size: 64 },
    workload: {
      kind: 'write-read-verify',
      requests: KILLS * REQUESTS_A_LIFE,
      depth: 32,
      blockSize: '4KiB',
      seed: 11,
    },
  };
}

/** Drives a served disk, which is killed and started again meanwhile. Gives what happened in all its lives. */
async function driveKilled(
  layout: string,
  offers: readonly string[],
): Promise<{ readonly report: RunReport; readonly events: readonly string[] }> {
  const pathOf = (ending: string): string => join(folder.path, `${layout}-${offers.length}.${ending}`);
  const random = numbersOf(KILLS + layout.length);
  const features = [...RING, ...offers, ...BLOCK].map((name) => BigInt(BITS[name]!));
  const bits = features.reduce((sum, bit) => sum | (1n << bit), 0n);
  const served = { socket: pathOf('sock'), image: pathOf('raw'), capacity: CAPACITY, layout, features: bits };
  let disk = new KilledDisk(served);
  await disk.until('listening');
  const profile = await loadProfile({ text: JSON.stringify(profileOf(pathOf('sock'), layout, offers)) });
  const events: string[] = [];
  const run = startProfile(profile).report;
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      await disk.until('queue-started');
      await setTimeout(random(LONGEST_LIFE_MS));
      await disk.end('SIGKILL');
      events.push(...disk.events);
      disk = new KilledDisk(served);
    }
    const report = await run;
    return { report, events: [...events, ...disk.events] };
  } finally {
    await disk.end('SIGTERM');
    await run.catch(() => {});
  }
}

describe('a driver whose device is killed while it works', () => {
  for (const [name, layout, offers] of [
    ['a split ring', 'split', []],
    ['a packed ring', 'packed', ['RING_PACKED']],
    ['a packed ring in order', 'packed', ['RING_PACKED', 'IN_ORDER']],
  ] as const) {
    it(
      `goes on with the one that comes back, ${KILLS} times, on ${name}: nothing is lost`,
      async () => {
        const { report, events } = await driveKilled(layout, offers);
        expect(report.failure?.message).toBeUndefined();
        expect(report).toMatchObject({ outcome: 'completed', faults: [] });
        expect(report.workload.verified).toBe(true);
        const those = (kind: string): string[] => events.filter((event) => event.startsWith(`${kind} `));
        expect(those('problem')).toEqual([]);
        expect(those('negotiated')).toHaveLength(KILLS + 1);
        // Most ends are between two bursts of requests: among many there are some in the middle of one.
        if (KILLS >= 100) expect(those('recovered').length).toBeGreaterThan(0);
      },
      RUN_MS,
    );
  }
});
