import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  openBlock,
  openConsole,
  openEntropy,
  openNet,
  openScsi,
  type BlockClient,
  type NetClient,
} from '@virtio-platform/client';
import { inquiryCdb } from '@virtio-platform/device-scsi';
import { missingProgram } from '@virtio-platform/host';
import { loadProfiles } from '@virtio-platform/profile';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const folder = mkdtempSync(join(tmpdir(), 'client-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const STORAGE_DAEMON = {
  platform: { use: '@virtio-platform/platform-legacy' },
  machine: {
    use: '@virtio-platform/machine-vhost-user',
    memory: '8MiB',
    command: [
      'qemu-storage-daemon',
      '--blockdev=driver=file,node-name=file,filename={image},discard=unmap',
      '--blockdev=driver=raw,node-name=raw,file=file,discard=unmap',
      '--export=type=vhost-user-blk,id=export,node-name=raw,addr.type=unix,addr.path={socket},writable=on,num-queues=2',
    ],
  },
  device: { type: 'block', capacity: '4MiB' },
} as const;

const IN_WORKER = {
  machine: { use: '@virtio-platform/machine-simulated', memory: '8MiB', device: 'worker' },
  device: { type: 'block', capacity: '1MiB' },
} as const;

const QEMU = { use: '@virtio-platform/machine-qemu', board: 'q35', memory: '8MiB' } as const;
const LEGACY = { use: '@virtio-platform/platform-legacy' } as const;

/** Reads and writes at random against a model, many at once. */
async function checkDisk(disk: BlockClient, rounds: number): Promise<void> {
  const model = Buffer.alloc(1 << 20);
  await disk.write(0, model);
  for (let round = 0; round < rounds; round++) {
    const calls = Array.from({ length: 64 }, async (_, i) => {
      const [at, bytes] = [i * 16384, 512 * (1 + ((i * 13 + round) % 32))];
      if ((i + round) % 2 === 0) {
        model.fill((i * 31 + round) & 0xff, at, at + bytes);
        await disk.write(at, model.subarray(at, at + bytes));
      } else expect((await disk.read(at, bytes)).equals(model.subarray(at, at + bytes))).toBe(true);
    });
    await Promise.all(calls);
  }
  await disk.flush();
  expect((await disk.read(0, model.length)).equals(model)).toBe(true);
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Mappings of memory that other processes may have. */
function sharedMappings(): number {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('memfd')).length;
}

/** The ids of the children of this process. */
function children(): string {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8');
}

describe.skipIf(!QEMU_TESTS.mayRun)('a client of qemu-storage-daemon', () => {
  it('answers as a model does, and wakes for each of many single requests', async () => {
    await using disk = await openBlock(STORAGE_DAEMON);
    await checkDisk(disk, 10);
    for (let i = 0; i < 3000; i++) await disk.read((i % 64) * 512, 512);
    expect(disk.statistics.rescued).toBe(0);
    // A busy machine answers most requests before the client waits for them.
    expect(disk.statistics.wakeUps).toBeGreaterThan(10);
    await disk.writeZeroes(0, 8192n, { mayUnmap: true });
    await disk.discard(65536n, 65536);
    expect((await disk.read(0, 8192)).every((byte) => byte === 0)).toBe(true);
  });

  it('uses no processor time while nothing happens', async () => {
    await using disk = await openBlock(STORAGE_DAEMON);
    await disk.read(0, 512);
    await delay(200);
    const before = process.cpuUsage();
    await delay(1000);
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(100_000);
  });

  it('leaves no descriptor, process or mapping, closed or aborted at any time', async () => {
    await (await openBlock(STORAGE_DAEMON)).close();
    const before = [descriptors(), sharedMappings(), children()] as const;
    for (const ms of [0, 30, 100, 10_000]) {
      const signal = AbortSignal.timeout(ms);
      const opened = await openBlock(STORAGE_DAEMON, { signal }).catch((error: unknown) => error);
      if (opened instanceof Error) continue;
      const disk = opened as BlockClient;
      const calls = Array.from({ length: 100 }, (_, i) => disk.read(i * 512, 512).catch(() => {}));
      await (ms % 100 === 0 ? disk.close() : disk.destroy());
      await Promise.all(calls);
    }
    for (let waited = 0; waited < 3000 && descriptors() > before[0]; waited += 20) await delay(20);
    expect([descriptors(), sharedMappings(), children()]).toEqual(before);
  });

  it('fails with the back-end: what is in flight, once, and what is called later', async () => {
    const others = children();
    const disk = await openBlock(STORAGE_DAEMON);
    await disk.read(0, 512);
    const failed = once(disk, 'failed');
    for (const child of children()
      .split(' ')
      .filter((id) => id !== '' && !others.includes(id))) {
      if (readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith('qemu-storage-daemon'))
        process.kill(Number(child), 'SIGKILL');
    }
    expect(await failed).toEqual([expect.objectContaining({ code: 'ERR_DEVICE_LOST' })]);
    await expect(disk.read(0, 512)).rejects.toMatchObject({ code: 'ERR_CLIENT_CLOSED' });
    await disk.close();
    expect(children()).toBe(others);
  });

  it.each([
    ['process.exit(7)', STORAGE_DAEMON],
    ['process.kill(process.pid, "SIGKILL")', STORAGE_DAEMON],
    ['disk.unref()', STORAGE_DAEMON],
    ['disk.unref(); // its device is in a worker', IN_WORKER],
  ])('leaves no process and no file where its program ends with %s', async (end, profile) => {
    const temporary = mkdtempSync(join(folder, 'exit-'));
    const program = `
        import { openBlock } from '@virtio-platform/client';
        const disk = await openBlock(${JSON.stringify(profile)});
        await disk.write(0, Buffer.alloc(512));
        console.log('open');
        ${end}`;
    const words = ['--input-type=module', '-e', program];
    const options = { cwd: ROOT, env: { ...process.env, TMPDIR: temporary }, stdio: 'pipe' } as const;
    const child = spawn(process.execPath, words, options);
    let said = '';
    child.stdout.on('data', (text) => (said += String(text)));
    await once(child, 'exit');
    expect(said).toBe('open\n');
    const running = (): boolean =>
      readdirSync('/proc').some((id) => {
        try {
          return readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(temporary);
        } catch {
          return false;
        }
      });
    for (let waited = 0; waited < 5000 && running(); waited += 20) await delay(20);
    expect(running()).toBe(false);
    // A process that is killed removes nothing: the next one does.
    if (!end.includes('SIGKILL')) expect(readdirSync(temporary)).toEqual([]);
  });
});

describe.skipIf(!QEMU_TESTS.mayRun)('a client of devices of QEMU', () => {
  it('drives a disk, and costs little while nothing happens', async () => {
    await using disk = await openBlock({
      platform: LEGACY,
      machine: QEMU,
      device: { type: 'block', capacity: '4MiB' },
    });
    await checkDisk(disk, 2);
    await delay(300);
    const before = process.cpuUsage();
    await delay(1000);
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(150_000);
  });

  it('fails with QEMU', async () => {
    const others = children();
    const disk = await openBlock({ platform: LEGACY, machine: QEMU, device: { type: 'block', capacity: '1MiB' } });
    const failed = once(disk, 'failed');
    for (const child of children()
      .split(' ')
      .filter((id) => id !== '' && !others.includes(id))) {
      if (readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith('qemu-system'))
        process.kill(Number(child), 'SIGKILL');
    }
    expect(await failed).toEqual([expect.objectContaining({ code: 'ERR_DEVICE_LOST' })]);
    await disk.close();
  });

  it('sends frames to a network and gets them back', async () => {
    await using net = await openNet({ platform: LEGACY, machine: QEMU, device: { type: 'net' } });
    const frame = Buffer.alloc(100, 7);
    frame.write('525400123456020202020202', 'hex');
    net.frames.write(frame);
    expect(await once(net.frames, 'data')).toEqual([frame]);
  });

  it('reads entropy, and asks a SCSI disk what it is', async () => {
    await using entropy = await openEntropy({ platform: LEGACY, machine: QEMU, device: { type: 'entropy' } });
    expect(new Set(await entropy.read(1000)).size).toBeGreaterThan(100);
    const disks = [{ target: 0, lun: 0, capacity: '1MiB' }];
    await using host = await openScsi({ platform: LEGACY, machine: QEMU, device: { type: 'scsi', disks } });
    const { data } = await host.command(0, 0, inquiryCdb(36), { dataIn: 36 });
    expect(data.toString('latin1', 8, 16).trim()).toBe('QEMU');
  });

  it('talks to a program through a port of a console, which QEMU connects to a socket', async () => {
    const socket = join(folder, 'port');
    const server = createServer().listen(socket);
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const port = '{"driver":"virtserialport","bus":"serial.0","nr":1,"chardev":"agent","name":"org.example.agent"}';
    const words = ['-chardev', `socket,id=agent,path=${socket}`, '-device', port];
    const device = { type: 'console', maxPorts: 2 } as const;
    await using console = await openConsole({ platform: LEGACY, machine: { ...QEMU, arguments: words }, device });
    const [program] = await accepted;
    const agent = await console.port('org.example.agent');
    program.write('to the driver');
    expect(String((await once(agent, 'data'))[0])).toBe('to the driver');
    agent.write('to the program');
    expect(String((await once(program, 'data'))[0])).toBe('to the program');
    const closed = once(agent, 'hostClosed');
    program.destroy();
    await closed;
    expect(agent.isHostOpen).toBe(false);
    server.close();
  });
});

const DPDK_MISSING = missingProgram('dpdk-testpmd') !== undefined && process.env['CI'] === undefined;

/** DPDK's testpmd, which sends what comes at one of its two ports out of the other one. */
async function startSwitch(sockets: readonly [string, string]): Promise<() => Promise<void>> {
  const devices = sockets.map((path, i) => `--vdev=net_vhost${i},iface=${path}`);
  const memory = ['--lcores=0-1', '--no-huge', '--no-pci', '--no-shconf', '--no-telemetry', '-m', '64'];
  const own = [
    '--no-mlockall',
    '--forward-mode=io',
    '--port-topology=paired',
    '--auto-start',
    '--total-num-mbufs=2048',
  ];
  const words = [...memory, ...devices, '--', ...own, '--disable-link-check', '--stats-period=3600'];
  const env = { ...process.env, XDG_RUNTIME_DIR: folder };
  const program = spawn('dpdk-testpmd', words, { cwd: folder, env, stdio: ['pipe', 'ignore', 'ignore'] });
  for (let waited = 0; waited < 20_000 && !sockets.every((path) => existsSync(path)); waited += 20) await delay(20);
  return async () => {
    program.kill();
    await once(program, 'exit');
  };
}

describe.skipIf(DPDK_MISSING)('two clients of the ports of a switch of DPDK', () => {
  it('send frames to each other, each woken for each of them', async () => {
    const sockets = [join(folder, 'a'), join(folder, 'b')] as const;
    const stop = await startSwitch(sockets);
    try {
      const use = '@virtio-platform/machine-vhost-user';
      const open = (socket: string): Promise<NetClient> =>
        openNet({ machine: { use, memory: '16MiB', socket }, device: { type: 'net' } });
      const [client, server] = await Promise.all(sockets.map(open));
      server!.frames.on('data', (frame: Buffer) => server!.frames.write(Buffer.concat([frame, frame.subarray(0, 4)])));
      for (let i = 0; i < 100; i++) {
        const frame = Buffer.alloc(60 + i, i);
        client!.frames.write(frame);
        expect(await once(client!.frames, 'data')).toEqual([Buffer.concat([frame, frame.subarray(0, 4)])]);
      }
      expect([client!.statistics.rescued, server!.statistics.rescued]).toEqual([0, 0]);
      await Promise.all([client!.close(), server!.close()]);
    } finally {
      await stop();
    }
  });
});

describe.skipIf(DPDK_MISSING || !QEMU_TESTS.mayRun)('a client of a network device of QEMU with several pairs', () => {
  it('has a stream for each, on which its frames come back from the back-end', async () => {
    const [profile] = await loadProfiles(join(ROOT, 'profiles/qemu/net-multiqueue.yaml'));
    await using net = await openNet(profile!);
    expect(net.pairs).toHaveLength(4);
    for (const [i, pair] of net.pairs.entries()) {
      const frame = Buffer.alloc(100 + i, i + 1);
      pair.write(frame);
      expect(await once(pair, 'data')).toEqual([frame]);
    }
  });
});
