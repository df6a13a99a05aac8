import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import {
  BackEndProgram,
  DeviceTrial,
  identifyBackEnd,
  isFailure,
  knownDeviations,
  planTrial,
} from '@virtio-platform/conform';
import { loadProfile, type Profile, type ProfileObject } from '@virtio-platform/profile';
import { describe, expect, it } from 'vitest';
import { commandProcess, virtioPlatform } from '../command/command.ts';
import { QEMU_TESTS, STORAGE_DAEMON_TESTS } from './qemu-installed.ts';

const SHARED = {
  platform: { use: '@virtio-platform/platform-legacy' },
  device: { type: 'block', capacity: '16MiB' },
  workload: { kind: 'read', requests: 1, depth: 1, blockSize: '4KiB' },
} as const satisfies ProfileObject;

const STORAGE_DAEMON = [
  'qemu-storage-daemon',
  '--blockdev',
  'driver=file,node-name=file,filename={image}',
  '--blockdev',
  'driver=raw,node-name=disk,file=file',
  '--export',
  'type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path={socket},writable=on',
];

/** Cases of 65,536 requests, which the embedded device is tried with. */
const LONG = ['ring/index-wraps', 'notify/event-at-wrap'];

/** Runs the cases that `isWanted` says; returns the failures, and those of them that are known. */
async function failuresOf(
  profile: Profile,
  isWanted: (id: string) => boolean,
): Promise<{ readonly failed: readonly string[]; readonly known: readonly string[]; readonly tried: number }> {
  const identity = await identifyBackEnd(profile);
  const known = knownDeviations(identity!.program, identity!.version, profile.device.type.name);
  const program = BackEndProgram.of(profile);
  const run = new DeviceTrial({
    profile: program?.profile ?? profile,
    program,
    plan: planTrial(profile, (id) => isWanted(id) && !LONG.includes(id)),
    patienceMs: 500,
    settleMs: 5,
  });
  try {
    const results = await run.run();
    const failed = results
      .filter(isFailure)
      .map(({ id, verdict, seen }) => [id, `${id}: ${verdict}, ${seen}`] as const);
    const tried = results.filter(({ verdict }) => verdict !== 'skip').map(({ id }) => id);
    return {
      failed: failed.filter(([id]) => !known.has(id)).map(([, text]) => text),
      known: tried.filter((id) => known.has(id) && !failed.some(([other]) => other === id)),
      tried: tried.length,
    };
  } finally {
    await run.end();
    await program?.dispose();
  }
}

describe.skipIf(!STORAGE_DAEMON_TESTS.mayRun)(`conform on the storage daemon (${STORAGE_DAEMON_TESTS.needs})`, () => {
  it('finds what is known of it, and nothing else', async () => {
    const profile = await loadProfile({
      ...SHARED,
      profile: 'storage-daemon',
      machine: { use: '@virtio-platform/machine-vhost-user', memory: '16MiB', command: STORAGE_DAEMON },
    });
    // What is written behind the queues, or behind a region, shows by chance.
    const wanted =
      /^(status|ring|block)\/|^hostile\/V(0[1-5]|1[2-6])|^vhost-user\/(?!size|index|unknown|set-vring|address-at)/;
    const { failed, known, tried } = await failuresOf(profile, (id) => wanted.test(id));
    expect(failed).toEqual([]);
    expect(known, 'known deviations that were not seen').toEqual([]);
    expect(tried).toBeGreaterThan(200);
  });

  it('ends with everything that it started where the user interrupts it', async () => {
    const { process: child, finished } = commandProcess(['conform', '-j', '2', '--', ...STORAGE_DAEMON]);
    let output = '';
    child.stdout!.on('data', (text) => (output += String(text)));
    const isUnderWay = (): boolean => output.includes('pass') && daemonsBelow(child.pid!).length > 1;
    for (let waited = 0; !isUnderWay() && waited < 20_000; waited += 50) await setTimeout(50);
    expect(output).toContain('pass');
    const daemons = daemonsBelow(child.pid!);
    expect(daemons.length).toBeGreaterThan(1);
    child.kill('SIGINT');
    expect((await finished).status).toBe(130);
    for (let waited = 0; daemons.some(isAlive) && waited < 5000; waited += 50) await setTimeout(50);
    expect(daemons.filter(isAlive)).toEqual([]);
  });
});

describe('conform on a back-end that is none', () => {
  it('ends where nothing answers', async () => {
    const mute = 'require("net").createServer(() => {}).listen(process.argv[1])';
    const { status, stderr } = await virtioPlatform(['conform', '--', process.execPath, '-e', mute, '{socket}']);
    expect([status, stderr]).toEqual([1, expect.stringContaining('GET_FEATURES')]);
  });

  it('says how one ended that did not listen', async () => {
    const { status, stderr } = await virtioPlatform([
      'conform',
      '--',
      process.execPath,
      '-e',
      'process.exit(7)',
      '{socket}',
    ]);
    expect([status, stderr]).toEqual([1, expect.stringContaining('ended with status 7 before it listened')]);
  });
});

describe.skipIf(!QEMU_TESTS.mayRun)(`conform on QEMU (${QEMU_TESTS.needs})`, () => {
  it('finds what is known of virtio-blk on q35, and nothing else', async () => {
    const profile = await loadProfile({
      ...SHARED,
      profile: 'q35',
      machine: { use: '@virtio-platform/machine-qemu', memory: '16MiB', board: 'q35' },
      device: { ...SHARED.device, interface: 'transitional' },
    });
    // Of the registers what depends on the machine: interrupts, messages, notifications, the window.
    const wanted =
      /^(status|features|config|ring|block)\/|^hostile\/V0[1-4]|^pci\/(isr|msix|features|no-queue|notify|window\/(reads|notif))/;
    const { failed, known, tried } = await failuresOf(profile, (id) => wanted.test(id));
    expect(failed).toEqual([]);
    expect(known, 'known deviations that were not seen').toEqual([]);
    expect(tried).toBeGreaterThan(200);
  });

  it('finds what is known of virtio-net on q35, and nothing else', async () => {
    const profile = await loadProfile({
      ...SHARED,
      profile: 'q35-net',
      machine: { use: '@virtio-platform/machine-qemu', memory: '16MiB', board: 'q35' },
      device: { type: 'net', mtu: 1500 },
      workload: { kind: 'echo', requests: 1, depth: 1, blockSize: '100B' },
    });
    const wanted = /^net\/(?!.*packed)(?!hostile-(frame|gso|ip|tcp|checksum|receive))/;
    const { failed, known, tried } = await failuresOf(profile, (id) => wanted.test(id));
    expect(failed).toEqual([]);
    expect(known, 'known deviations that were not seen').toEqual([]);
    expect(tried).toBeGreaterThan(120);
  });

  it('tells that it runs on and answers no more, which another boot hides', async () => {
    const profile = await loadProfile({
      ...SHARED,
      profile: 'q35-rng',
      machine: { use: '@virtio-platform/machine-qemu', memory: '16MiB', board: 'q35', replyTimeout: 500 },
      device: { type: 'entropy', offers: ['VERSION_1', 'RING_PACKED'] },
      workload: { kind: 'read', requests: 1, depth: 1, blockSize: '64B' },
    });
    const plan = planTrial(profile, (id) => id === 'hostile/V08-no-bytes-readable/packed');
    const run = new DeviceTrial({ profile, plan, patienceMs: 500, settleMs: 5 });
    try {
      const results = await run.run();
      expect(results.map(({ verdict, seen }) => [verdict, seen])).toEqual([
        ['hang', expect.stringMatching(/runs on, and does not answer/)],
      ]);
    } finally {
      await run.end();
    }
  });
});

/** The processes of the storage daemon that descend from a process. */
function daemonsBelow(ancestor: number): number[] {
  const parents = new Map<number, readonly [parent: number, name: string]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const text = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const end = text.lastIndexOf(')');
      parents.set(Number(entry), [Number(text.slice(end + 4).split(' ')[0]), text.slice(text.indexOf('(') + 1, end)]);
    } catch {
      // It ended meanwhile.
    }
  }
  const descends = (pid: number): boolean => {
    const parent = parents.get(pid)?.[0] ?? 0;
    return parent === ancestor || (parent > 1 && descends(parent));
  };
  return [...parents].flatMap(([pid, [, name]]) => (name.startsWith('qemu-storage') && descends(pid) ? [pid] : []));
}

function isAlive(pid: number): boolean {
  try {
    // One that ended and was not waited for yet is a zombie.
    return /\(qemu-storage[^)]*\) [^Z]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
