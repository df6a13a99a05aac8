import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { loadProfile } from '@virtio-platform/profile';
import { startProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numbersOf } from '../seeded-numbers.ts';
import { serveProfile, type ServedCommand } from './served-command.ts';

/** How often the back-end is killed for each ring: a few times here, and 100 times with `npm run reconnect`. */
const KILLS = Number(process.env['RECONNECTS'] ?? 3);
/** Milliseconds that it works before it is killed, at most. */
const LONGEST_LIFE_MS = 60;
/** Requests that no back-end does in that time, each time. */
const REQUESTS_A_LIFE = 6000;
/** What the start of a process takes on a slow computer. */
const START_MS = 20_000;
const RUN_MS = 60_000 + KILLS * START_MS;

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

const RING = ['VERSION_1', 'RING_EVENT_IDX', 'RING_INDIRECT_DESC'];
const BLOCK = ['BLK_SEG_MAX', 'BLK_BLK_SIZE', 'BLK_FLUSH', 'BLK_MQ'];

function profileOf(
  layout: string,
  offers: readonly string[],
  machine: object,
  device: object,
  requests: number,
): object {
  return {
    profile: 'reconnected',
    summary: 'A disk that is killed while it works.',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { memory: '16MiB', ...machine },
    device: { type: 'block', capacity: '4MiB', queues: 2, offers: [...RING, ...offers, ...BLOCK], ...device },
    driver: { timeout: `${START_MS}ms` },
    queue: { layout, size: 64 },
    workload: { kind: 'write-read-verify', requests, depth: 32, blockSize: '4KiB', seed: 11 },
  };
}

async function untilStarted({ events }: ServedCommand): Promise<void> {
  const isStarted = (): boolean => events().some(({ kind }) => kind === 'queue-started');
  for (const end = performance.now() + START_MS; !isStarted(); await setTimeout(2))
    if (performance.now() > end) throw new Error(`no queue was started: ${JSON.stringify(events())}`);
}

/** Drives a served disk, which is killed and started again meanwhile. Gives what it told of itself in all its lives. */
async function driveKilled(
  layout: string,
  offers: readonly string[],
): Promise<{ readonly report: RunReport; readonly events: readonly Readonly<Record<string, unknown>>[] }> {
  const name = `${layout}-${offers.length}`;
  const image = join(folder.path, `${name}.raw`);
  const served = profileOf(layout, offers, { use: '@virtio-platform/machine-simulated' }, { image }, 32);
  const random = numbersOf(KILLS + layout.length);
  let server = await serveProfile(folder.path, name, served);
  const machine = {
    use: '@virtio-platform/machine-vhost-user',
    socket: server.socket,
    reconnect: { attempts: 1000, interval: 20 },
  };
  const profile = await loadProfile({
    text: JSON.stringify(profileOf(layout, offers, machine, {}, KILLS * REQUESTS_A_LIFE)),
  });
  const events: Readonly<Record<string, unknown>>[] = [];
  const run = startProfile(profile).report;
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      await untilStarted(server);
      await setTimeout(random(LONGEST_LIFE_MS));
      await server.end('SIGKILL');
      events.push(...server.events());
      server = await serveProfile(folder.path, name, served);
    }
    return { report: await run, events: [...events, ...server.events()] };
  } finally {
    await server.end();
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
        expect(events.filter(({ kind }) => kind === 'problem')).toEqual([]);
        expect(events.filter(({ kind }) => kind === 'negotiated')).toHaveLength(KILLS + 1);
        // Where it was killed in the middle of a request it takes the request again; most kills are between two.
        const again = events.flatMap((event) => (event['kind'] === 'recovered' ? [Number(event['buffers'])] : []));
        console.warn(`${name}: ${again.length} times ${again.reduce((sum, one) => sum + one, 0)} buffers taken again`);
      },
      RUN_MS,
    );
  }
});
