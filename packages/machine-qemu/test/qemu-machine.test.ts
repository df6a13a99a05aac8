import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { BootedMachine, DeviceDescription } from '@virtio-platform/core';
import { nap } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import block from '@virtio-platform/device-block';
import console from '@virtio-platform/device-console';
import net from '@virtio-platform/device-net';
import { MEMORY_CONVERSION } from '@virtio-platform/platform-sev';
import { H_SUCCESS, TCE_FACILITY, type TceFacility } from '@virtio-platform/platform-pseries';
import { afterAll, describe, expect, it } from 'vitest';
import {
  BlockRing,
  deviceDescription,
  ownTemporaryFolder,
  READ,
  runAndExit,
  withMachine,
  WRITE,
} from '@virtio-platform/conformance/testing';
import type { BoardName } from '../src/board/board-name.ts';
import { qemuOptionsSchema } from '../src/options.ts';
import { QemuMachine } from '../src/qemu-machine.ts';
import { MEMORY, SKIP } from './installed-qemu.ts';

/** A type without what QEMU has to know of it. */
const { qemu: _qemu, ...UNKNOWN_TO_QEMU } = block;

const temporary = ownTemporaryFolder();
afterAll(temporary.remove);

interface MachineOptions {
  readonly board?: BoardName;
  readonly image?: string;
  readonly capacity?: number;
  readonly device?: Partial<DeviceDescription>;
  readonly needs?: ConstructorParameters<typeof QemuMachine>[0]['needs'];
  readonly machine?: object;
  readonly memory?: number;
}

function machine(options: MachineOptions = {}): QemuMachine {
  const { board = 'q35', image, capacity = 1 << 20 } = options;
  const request = {
    memory: options.memory ?? MEMORY[board],
    device: deviceDescription(block, { capacity, image }, options.device),
    needs: options.needs ?? [],
    simulate: undefined,
    baseDirectory: temporary.path,
  };
  // The small driver of these tests polls the ISR register, because it maps no memory for MSI-X messages.
  return new QemuMachine(request, qemuOptionsSchema.parse({ board, interrupts: 'isr', ...options.machine }));
}

/** Sends a signal that stops or kills, and waits until all threads of the process are stopped. */
function signalled(pid: number, signal: string): void {
  process.kill(pid, signal);
  const deadline = performance.now() + 5000;
  while (threadsOf(pid).some((state) => !'TZX'.includes(state))) {
    expect(performance.now()).toBeLessThan(deadline);
    nap(1);
  }
}

/** The state of each thread of a process, a letter (proc(5)); empty after the process has ended. */
function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) => {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
      return stat.charAt(stat.lastIndexOf(')') + 2);
    });
  } catch {
    return [];
  }
}

function ringOf(booted: BootedMachine): BlockRing {
  return new BlockRing(booted, new DirectDmaMapping(booted.memory, { path: 'physical', capacity: 64 }));
}

/** Whether a child is the shell that guards the process group of a program. */
function isShell(pid: number): boolean {
  return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sh\n';
}

/** Process ids of the children of this process. */
function children(): number[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** Processor time of a process, in user and kernel mode (proc(5), fields 14 and 15). */
function processorTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** The resources that a machine must not leave behind. */
function traces(): unknown {
  return {
    children: children(),
    descriptors: readdirSync('/proc/self/fd').length,
    files: readdirSync(temporary.path).filter((name) => name.startsWith('virtio-platform-')),
    listeners: process.listenerCount('exit'),
  };
}

describe.skipIf(SKIP)('QemuMachine', () => {
  it('serves an image whose path has characters that are special elsewhere', async () => {
    const image = join(temporary.path, `a,b=c "quoted" 'disk' %d.img`);
    writeFileSync(image, Buffer.alloc(1 << 20, 0x42));
    await withMachine(machine({ image }), (booted) => {
      const ring = ringOf(booted);
      const data = booted.memory.allocate(4096);
      expect(ring.request(READ, 8, data, 4096)).toBe(0);
      expect(booted.memory.u8.subarray(data, data + 4096).every((byte) => byte === 0x42)).toBe(true);
      booted.memory.u8.fill(0x17, data, data + 4096);
      expect(ring.request(WRITE, 8, data, 4096)).toBe(0);
      ring.end();
    });
    expect(readFileSync(image).subarray(4090, 4100)).toEqual(
      Buffer.from([...Array(6).fill(0x42), ...Array(4).fill(0x17)]),
    );
    expect(readFileSync(image)).toHaveLength(1 << 20);
  });

  it('leaves no resources behind after each boot on each board', async () => {
    await withMachine(machine({}), () => {});
    const before = traces();
    for (const board of ['pc', 'q35', 'pseries'] as const) {
      await withMachine(machine({ board }), (booted) => {
        expect(traces()).not.toEqual(before);
        const ring = ringOf(booted);
        expect(ring.request(READ, 0, booted.memory.allocate(512), 512)).toBe(0);
      });
      expect(traces()).toEqual(before);
    }
  });

  it.each(['pc', 'pseries'] as const)(
    'keeps no processor of the host busy while the device is idle on %s',
    async (board) => {
      const others = children();
      await withMachine(machine({ board }), async () => {
        const pid = children().find((child) => !others.includes(child) && !isShell(child));
        // The firmware polls for a while before it sleeps.
        await setTimeout(200);
        const before = processorTicks(pid!);
        await setTimeout(1000);
        // Ticks of 10 ms.
        expect(processorTicks(pid!) - before).toBeLessThan(40);
      });
    },
  );

  it.each([
    ['network card', net, {}],
    ['console', console, { ports: 3 }],
  ])('closes the loopbacks of a %s', async (_, type, settings) => {
    await withMachine(machine({}), () => {});
    const before = traces();
    await withMachine(machine({ device: deviceDescription(type, settings) }), ({ transport }) =>
      expect(transport.deviceId).toBe(type.id),
    );
    expect(traces()).toEqual(before);
  });

  it.each<[string, MachineOptions, string, RegExp]>([
    ['a size of memory that the board does not support', { memory: 4096 }, 'ERR_MACHINE_MEMORY', /does not take 4KiB/],
    [
      'a program that is not installed',
      { machine: { program: '/nonexistent/qemu-system-x86_64' } },
      'ERR_MACHINE_MISSING',
      /not installed/,
    ],
    [
      'a program that is not executable',
      { machine: { program: '/etc/passwd' } },
      'ERR_MACHINE_START',
      /cannot be started/,
    ],
    [
      'arguments that QEMU does not know',
      { machine: { arguments: ['-frobnicate'] } },
      'ERR_MACHINE_START',
      /status 1.*-frobnicate: invalid option/s,
    ],
    ['an image that does not exist', { image: 'nowhere.img' }, 'ERR_MACHINE_START', /nowhere\.img/],
    ['a program that is not QEMU', { machine: { program: process.execPath } }, 'ERR_MACHINE_START', /status 9/],
    [
      'a QEMU that never answers',
      { machine: { startTimeout: 300, program: '/usr/bin/yes' } },
      'ERR_MACHINE_START',
      /./,
    ],
    [
      'a device type that QEMU does not have',
      { device: { type: { ...UNKNOWN_TO_QEMU, name: 'gpu' } } },
      'ERR_MACHINE_DEVICE',
      /type gpu/,
    ],
    [
      'a legacy driver of a modern device',
      { device: { driverInterface: 'legacy' } },
      'ERR_DEVICE_CONFIG',
      /no legacy interface/,
    ],
    [
      'a modern driver of a legacy device',
      { device: { interface: 'legacy' } },
      'ERR_DEVICE_CONFIG',
      /no common configuration/,
    ],
    [
      'a facility that the board lacks',
      { needs: [TCE_FACILITY] },
      'ERR_PLUGIN_FACILITY',
      /q35 does not have TCE tables/,
    ],
    [
      'protected memory on POWER',
      { board: 'pseries', needs: [MEMORY_CONVERSION] },
      'ERR_PLUGIN_FACILITY',
      /pseries does not have protected memory/,
    ],
  ])('reports %s, and leaves no resources behind', async (_, options, code, message) => {
    await withMachine(machine({}), () => {});
    const before = traces();
    const start = performance.now();
    await expect(machine(options).boot()).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
    expect(performance.now() - start).toBeLessThan(5000);
    expect(traces()).toEqual(before);
  });

  it('reports in bounded time that QEMU was killed, and leaves no resources behind', async () => {
    await withMachine(machine({}), () => {});
    const before = traces();
    const others = children();
    await withMachine(machine({}), async (booted) => {
      const ring = ringOf(booted);
      const data = booted.memory.allocate(4096);
      expect(ring.request(READ, 0, data, 4096)).toBe(0);
      expect(booted.deviceProgram?.().ending).toBeUndefined();
      const pid = children().find((child) => !others.includes(child) && !isShell(child));
      process.kill(pid!, 'SIGKILL');
      const start = performance.now();
      expect(ring.machine.transport.wait(5000)).toBe('lost');
      expect(performance.now() - start).toBeLessThan(2000);
      const lost = expect.objectContaining({ code: 'ERR_DEVICE_LOST' });
      expect(() => booted.transport.readStatus()).toThrow(lost);
      expect(() => booted.transport.notify(0, 0)).toThrow(lost);
      expect(() => booted.transport.writeStatus(0)).toThrow(lost);
      await expect.poll(() => booted.deviceProgram?.().ending).toBe('SIGKILL');
    });
    expect(traces()).toEqual(before);
  });

  it('reports in bounded time that QEMU is stopped, and ends QEMU', async () => {
    await withMachine(machine({}), () => {});
    const before = traces();
    const others = children();
    await withMachine(machine({ machine: { replyTimeout: 2000 } }), (booted) => {
      const pid = children().find((child) => !others.includes(child) && !isShell(child));
      signalled(pid!, 'SIGSTOP');
      const start = performance.now();
      expect(() => booted.transport.readStatus()).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringMatching(/did not answer.*2000 ms/) }),
      );
      expect(performance.now() - start).toBeLessThan(6000);
    });
    expect(traces()).toEqual(before);
  });

  it.each(['SIGKILL', 'SIGSTOP'])('reports in bounded time that hypercalls do not return after %s', async (signal) => {
    const others = children();
    await withMachine(
      machine({ board: 'pseries', needs: [TCE_FACILITY], machine: { replyTimeout: 2000 } }),
      (booted) => {
        // The token says which interface it is.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        const tables = booted.facilities.get(TCE_FACILITY) as TceFacility;
        expect(tables.putTce(tables.defaultWindow.liobn, 0, 0, 3, 0)).toBe(H_SUCCESS);
        const pid = children().find((child) => !others.includes(child) && !isShell(child));
        signalled(pid!, signal);
        const start = performance.now();
        expect(() => tables.putTce(tables.defaultWindow.liobn, 0, 0, 0, 0)).toThrow(
          expect.objectContaining({ code: 'ERR_DEVICE_LOST' }),
        );
        expect(performance.now() - start).toBeLessThan(6000);
      },
    );
    expect(children()).toEqual(others);
  });

  it('ends QEMU when the process that booted it exits without dispose', async () => {
    const test = JSON.stringify(new URL('installed-qemu.ts', import.meta.url).href);
    const pids = await runAndExit(`const { startBoard } = await import(${test}); await startBoard('pc');`);
    expect(pids.length).toBeGreaterThan(0);
    await expect.poll(() => pids.filter((pid) => existsSync(`/proc/${pid}/exe`)), { timeout: 3000 }).toEqual([]);
  });
});
