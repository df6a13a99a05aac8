/**
 * What waiting in the event loop costs, against a loop that blocks its thread: the processor time of an idle client,
 * the time of a request that is made alone, and requests in a second. Prints a table. Seconds of idling as first
 * argument.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BlockDisk } from '@virtio-platform/device-block';
import { composeRun, loadProfile, type Profile, type ProfileObject } from '@virtio-platform/profile';
import { DeviceSession } from '@virtio-platform/session';
import { openBlock, type BlockClient } from '../src/index.ts';

const IDLE_MS = Number(process.argv[2] ?? 10) * 1000;
const ALONE = 4000;
const TOGETHER = 40_000;
const DEPTH = 32;
const BYTES = 4096;

const STORAGE_DAEMON = [
  'qemu-storage-daemon',
  '--blockdev=driver=file,node-name=file,filename={image},cache.direct=off',
  '--export=type=vhost-user-blk,id=x,node-name=file,addr.type=unix,addr.path={socket},writable=on',
];
const MACHINES: Readonly<Record<string, NonNullable<ProfileObject['machine']>>> = {
  'embedded, same thread': { use: '@virtio-platform/machine-simulated', memory: '8MiB' },
  'embedded, worker': { use: '@virtio-platform/machine-simulated', memory: '8MiB', device: 'worker' },
  'vhost-user': { use: '@virtio-platform/machine-vhost-user', memory: '8MiB', command: STORAGE_DAEMON },
  QEMU: { use: '@virtio-platform/machine-qemu', board: 'q35', memory: '8MiB' },
};

/** What one driver needs. */
interface Cost {
  /** Microseconds of a request that is made alone: the median. */
  readonly aloneUs: number;
  /** Processor time of this process for it, in microseconds. */
  readonly aloneCpuUs: number;
  /** Requests in a second, {@link DEPTH} at once. */
  readonly perSecond: number;
  /** Processor time of this process for each of them, in microseconds. */
  readonly cpuUs: number;
}

/** Milliseconds of processor time since an earlier look. */
function cpuMs(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

/** The median of times. */
function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[times.length >> 1]!;
}

async function measure(one: () => Promise<void> | void, many: (count: number) => Promise<void> | void): Promise<Cost> {
  for (let i = 0; i < ALONE / 4; i++) await one();
  const times: number[] = [];
  let cpu = process.cpuUsage();
  for (let i = 0; i < ALONE; i++) {
    const start = performance.now();
    await one();
    times.push((performance.now() - start) * 1000);
  }
  const aloneCpuUs = (cpuMs(cpu) * 1000) / ALONE;
  await many(TOGETHER / 4);
  cpu = process.cpuUsage();
  const start = performance.now();
  await many(TOGETHER);
  const seconds = (performance.now() - start) / 1000;
  const cpuUs = (cpuMs(cpu) * 1000) / TOGETHER;
  return { aloneUs: median(times), aloneCpuUs, perSecond: TOGETHER / seconds, cpuUs };
}

async function measureClient(disk: BlockClient): Promise<Cost> {
  let next = 0;
  const one = async (): Promise<void> => void (await disk.read((next++ % 64) * BYTES, BYTES));
  const many = async (count: number): Promise<void> => {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await one();
    };
    await Promise.all(Array.from({ length: DEPTH }, lane));
  };
  return await measure(one, many);
}

/** The same requests by a loop that blocks its thread while it waits, as `run` does. */
async function measureBlocking(profile: Profile): Promise<Cost> {
  const run = await composeRun(profile);
  const { machine, platform } = run;
  const { device, driver, policy, queue } = profile;
  const session = new DeviceSession({ machine, platform, device, driver, policy, queue });
  try {
    session.openQueues();
    const opened = session.openDriver({ depth: DEPTH, bytes: BYTES });
    await session.start();
    const { transport, notify } = opened.context;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the profile has a disk
    const [block] = (opened.driver as BlockDisk).drivers;
    const loop = (count: number): void => {
      for (let called = 0, done = 0; done < count;) {
        const before = called;
        while (called < count && block!.read((called % 64) * BYTES, BYTES) >= 0) called++;
        if (called > before && block!.publish()) notify(block!.queue);
        const came = block!.poll();
        for (let i = 0; i < came; i++) {
          Buffer.from(block!.data(block!.completedSlots[i]!));
          block!.give(block!.completedSlots[i]!);
        }
        done += came;
        if (came === 0 && block!.queue.enableNotifications()) transport.wait(1000);
        else block!.queue.disableNotifications();
      }
    };
    return await measure(() => loop(1), loop);
  } finally {
    session.end();
    session.dispose();
    await run.dispose();
  }
}

const rows: string[][] = [];
for (const [name, machine] of Object.entries(MACHINES)) {
  const source = {
    profile: 'measured',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine,
    device: { type: 'block', capacity: '4MiB' },
    workload: { kind: 'read', requests: 1, depth: 1, blockSize: '4KiB' },
  } as const satisfies ProfileObject;
  const profile = await loadProfile(source);
  const disk = await openBlock(profile, { depth: DEPTH, partBytes: BYTES });
  const client = await measureClient(disk);
  await delay(500);
  const before = process.cpuUsage();
  await delay(IDLE_MS);
  const idle = cpuMs(before);
  await disk.close();
  const blocking = await measureBlocking(profile);
  const ratio = (key: keyof Cost): string =>
    `${client[key].toFixed(0)} / ${blocking[key].toFixed(0)} = ${(client[key] / blocking[key]).toFixed(2)}`;
  rows.push([name, `${idle.toFixed(1)} ms`, ratio('aloneUs'), ratio('aloneCpuUs'), ratio('perSecond'), ratio('cpuUs')]);
}
const head = ['machine', `idle ${IDLE_MS / 1000} s`, 'alone, us', 'alone, CPU us', 'requests/s', 'CPU us'];
console.log([head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'));
