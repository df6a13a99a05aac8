import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { afterAll, describe, expect, it } from 'vitest';
import { BlockRing, ownTemporaryFolder, READ, runAndExit, WRITE } from '@virtio-platform/conformance/testing';
import { machine, SKIP, STORAGE_DAEMON, withMachine } from './storage-daemon.ts';

function physical(memory: GuestMemory): DirectDmaMapping {
  return new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

const temporary = ownTemporaryFolder();
afterAll(temporary.remove);

function folders(): string[] {
  return readdirSync(temporary.path).filter((name) => !name.startsWith('tsx-'));
}

/** Whether a child is the shell that guards the process group of a program. */
function isShell(pid: number): boolean {
  return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sh\n';
}

/** Process ids of the children of this process. */
function children(): number[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

async function failure(booting: Promise<BootedMachine>): Promise<unknown> {
  try {
    await (await booting).dispose();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe.skipIf(SKIP)('VhostUserMachine with qemu-storage-daemon', () => {
  it('leaves nothing behind, boot after boot', async () => {
    await withMachine({}, () => {});
    const before = { descriptors: descriptors(), folders: folders(), children: children() };
    const listeners = process.listenerCount('exit');
    for (let i = 0; i < 2; i++) {
      await withMachine({}, (booted) => {
        // The back-end, and the guard of its process group.
        expect(children()).toHaveLength(before.children.length + 2);
        const ring = new BlockRing(booted, physical(booted.memory));
        expect(ring.request(WRITE, i, booted.memory.allocate(512), 512)).toBe(0);
      });
      expect({ descriptors: descriptors(), folders: folders(), children: children() }).toEqual(before);
    }
    expect(process.listenerCount('exit')).toBe(listeners);
  });

  it('reports a back-end that was killed as lost, in bounded time', async () => {
    const before = { descriptors: descriptors(), folders: folders(), children: children() };
    await withMachine({}, (booted) => {
      const { memory, transport } = booted;
      const ring = new BlockRing(booted, physical(memory));
      const data = memory.allocate(4096);
      expect(ring.request(READ, 0, data, 4096)).toBe(0);
      const pid = children().find((child) => !before.children.includes(child) && !isShell(child));
      process.kill(pid!, 'SIGKILL');
      ring.submit(READ, 0, data, 4096);
      const start = performance.now();
      expect(ring.finish()).toBe('lost');
      expect(performance.now() - start).toBeLessThan(2000);
      expect(transport.wait(1000)).toBe('lost');
      const lost = expect.objectContaining({
        code: 'ERR_DEVICE_LOST',
        message: expect.stringContaining('SET_VRING_ENABLE'),
      });
      expect(() => transport.readStatus()).toThrow(lost);
      expect(() => transport.writeStatus(0)).toThrow(lost);
      expect(() => transport.notify(0, 0)).toThrow(lost);
      expect(() => transport.readConfig(0, new Uint8Array(8))).toThrow(lost);
    });
    expect({ descriptors: descriptors(), folders: folders(), children: children() }).toEqual(before);
  });

  it('ends the back-end when the process that booted it ends without disposing', async () => {
    const before = folders();
    const daemon = JSON.stringify(new URL('storage-daemon.ts', import.meta.url).href);
    const pids = await runAndExit(`const { machine } = await import(${daemon}); await machine().boot();`);
    expect(pids.length).toBeGreaterThan(0);
    await expect.poll(() => pids.filter((pid) => existsSync(`/proc/${pid}/exe`)), { timeout: 3000 }).toEqual([]);
    expect(folders()).toEqual(before);
  });

  it('connects to a back-end that runs already, again and again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
    const socket = join(folder, 'socket');
    const image = join(folder, 'image');
    writeFileSync(image, new Uint8Array(1 << 20));
    const [program, ...rest] = STORAGE_DAEMON.map((argument) =>
      argument.replace('{socket}', socket).replace('{image}', image),
    );
    const daemon = spawn(program!, rest, { stdio: 'ignore' });
    try {
      await expect.poll(() => existsSync(socket), { timeout: 5000 }).toBe(true);
      await withMachine({ machine: { socket } }, (booted) => {
        const data = booted.memory.allocate(512);
        booted.memory.u8.fill(0x77, data, data + 512);
        expect(new BlockRing(booted, physical(booted.memory)).request(WRITE, 3, data, 512)).toBe(0);
      });
      await withMachine({ machine: { socket } }, (booted) => {
        const data = booted.memory.allocate(512);
        expect(new BlockRing(booted, physical(booted.memory)).request(READ, 3, data, 512)).toBe(0);
        expect(booted.memory.u8[data + 511]).toBe(0x77);
      });
      expect(daemon.exitCode).toBeNull();
    } finally {
      daemon.kill();
      if (daemon.exitCode === null) await once(daemon, 'exit');
      rmSync(folder, { recursive: true });
    }
  });

  it('says what the back-end printed when it does not start', async () => {
    const error = await failure(machine({ image: '/nowhere/image' }).boot());
    expect(error).toMatchObject({ code: 'ERR_MACHINE_START', message: expect.stringContaining('No such file') });
  });

  it('undoes everything when it cannot provide what the platform needs', async () => {
    const before = { descriptors: descriptors(), folders: folders(), children: children() };
    const error = await failure(machine({ needs: [Symbol('one'), Symbol('two')] }).boot());
    expect(error).toMatchObject({ code: 'ERR_PLUGIN_FACILITY', message: expect.stringContaining('one and two') });
    expect({ descriptors: descriptors(), folders: folders(), children: children() }).toEqual(before);
  });
});

describe('VhostUserMachine', () => {
  it('does not boot a device with the legacy interface', async () => {
    const error = await failure(machine({ driverInterface: 'legacy' }).boot());
    expect(error).toMatchObject({ code: 'ERR_MACHINE_INTERFACE' });
  });

  it('says how to install a program that is missing', async () => {
    const command = ['/nowhere/qemu-storage-daemon', '{socket}'];
    const error = await failure(machine({ machine: { command } }).boot());
    expect(error).toMatchObject({
      code: 'ERR_MACHINE_MISSING',
      hint: expect.stringContaining('qemu-system-common'),
    });
  });

  it('says when a program ends instead of listening', async () => {
    const command = [process.execPath, '-e', 'console.error("no disk"); process.exit(3)', '{socket}'];
    const error = await failure(machine({ machine: { command } }).boot());
    expect(error).toMatchObject({
      code: 'ERR_MACHINE_START',
      message: expect.stringMatching(/ended with status 3 before it listened; it printed: no disk/),
    });
  });

  it('gives up a program that never listens, even one that ignores SIGTERM', async () => {
    const before = { folders: folders(), children: children() };
    const command = [
      process.execPath,
      '-e',
      'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)',
      '{socket}',
    ];
    const error = await failure(machine({ machine: { command, startTimeout: 500 } }).boot());
    expect(error).toMatchObject({ code: 'ERR_MACHINE_START', message: expect.stringContaining('in 500 ms') });
    expect({ folders: folders(), children: children() }).toEqual(before);
  });

  it('says when no back-end listens at a socket', async () => {
    const error = await failure(machine({ machine: { socket: 'nowhere/socket' } }).boot());
    expect(error).toMatchObject({ code: 'ERR_MACHINE_START', message: expect.stringContaining('ENOENT') });
  });
});
