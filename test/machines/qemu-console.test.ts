import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { runMonitored, type Monitored } from './monitored-run.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const TIMEOUT_MS = 120_000;

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(sections: object): Promise<RunReport> {
  const path = join(folder, 'console.yaml');
  const content = {
    profile: 'console',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-qemu', board: 'pc', memory: '32MiB' },
    ...sections,
  };
  writeFileSync(path, JSON.stringify(content));
  return await runProfile(await loadProfile(path));
}

/** Plugs a port that gives back what it is sent: QEMU opens both ends of a named pipe. */
function plug({ folder: of }: Monitored, id: number, line: string, name: string): object[] {
  const path = join(of, line);
  execFileSync('mkfifo', [path]);
  const port = { driver: 'virtserialport', id: `port-${line}`, bus: 'serial.0', nr: id, chardev: line, name };
  return [
    { execute: 'chardev-add', arguments: { id: line, backend: { type: 'pipe', data: { device: path } } } },
    { execute: 'device_add', arguments: port },
  ];
}

/** Waits until QEMU says that its guest opened the port of a line. */
async function isOpened({ ask }: Monitored, line: string): Promise<void> {
  for (const end = performance.now() + 30_000; performance.now() < end;) {
    const [lines] = (await ask({ execute: 'query-chardev' })) as [{ label: string; 'frontend-open': boolean }[]];
    if (lines.some((each) => each.label === line && each['frontend-open'])) return;
    await setTimeout(5);
  }
  throw new Error(`the guest did not open the port of ${line}`);
}

describe.skipIf(!QEMU_TESTS.mayRun)(`consoles and entropy of QEMU (${QEMU_TESTS.needs})`, () => {
  const shape = fc.record({
    seed: fc.nat(0x7fff_ffff),
    depth: fc.integer({ min: 1, max: 24 }),
    blockSize: fc.integer({ min: 1, max: 700 }),
    isPacked: fc.boolean(),
  });
  const REQUESTS = 2500;

  it('agree with a model of each port through 10,000 operations', { timeout: TIMEOUT_MS }, async () => {
    const ports = fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(shape, ports, async ({ seed, depth, blockSize, isPacked }, others) => {
        const offers = ['VERSION_1', 'RING_EVENT_IDX', 'CONSOLE_MULTIPORT', 'CONSOLE_EMERG_WRITE'];
        const { workload, failure } = await run({
          device: {
            type: 'console',
            ports: [0, ...others].map((id) => ({ id, name: `port ${id}` })),
            maxPorts: 9,
            offers: isPacked ? [...offers, 'RING_PACKED'] : offers,
          },
          queue: { layout: isPacked ? 'packed' : 'split', size: 64 },
          workload: { kind: 'mixed', requests: REQUESTS, depth, blockSize: `${blockSize}B`, seed, emergencies: 0.1 },
        });
        expect([failure, workload.mismatches.first, workload.verified]).toEqual([null, [], true]);
      }),
      { numRuns: 4 },
    );
  });

  it('follow ports that the monitor plugs and unplugs', { timeout: TIMEOUT_MS }, async () => {
    const device = { type: 'console', ports: [{ id: 0 }, { id: 3, name: 'first' }], maxPorts: 9 };
    const machine = { board: 'pc', memory: '32MiB' };
    const workload = { kind: 'mixed', requests: 150_000, depth: 16, blockSize: '256B', seed: 7 };
    const report = await runMonitored({ machine, device, workload }, async (monitored) => {
      const { ask } = monitored;
      await ask(...plug(monitored, 5, 'late', 'late'));
      await isOpened(monitored, 'late');
      await ask({ execute: 'device_del', arguments: { id: 'portline1' } });
      // The number is free, and another port has it.
      await ask(...plug(monitored, 3, 'again', 'first'));
      await isOpened(monitored, 'again');
      await ask({ execute: 'device_del', arguments: { id: 'port-late' } });
    });
    expect([report.failure, report.workload.mismatches.first, report.workload.verified]).toEqual([null, [], true]);
  });

  it.each([{ ports: 1 }, { ports: 3 }, { ports: 1, interface: 'transitional' }])(
    'take emergency characters before DRIVER_OK: %j',
    { timeout: TIMEOUT_MS },
    async (settings) => {
      const device = { use: join(ROOT, 'test/machines/early-console.mjs'), ...settings };
      const report = await run({ device, workload: { kind: 'early', requests: 1, depth: 1 } });
      expect([report.failure, report.workload]).toMatchObject([null, { requests: 1, bytes: 11, verified: true }]);
    },
  );

  it('fill buffers of all lengths in 10,000 operations', { timeout: TIMEOUT_MS }, async () => {
    await fc.assert(
      fc.asyncProperty(shape, async ({ seed, depth, blockSize, isPacked }) => {
        const { workload, failure } = await run({
          device: { type: 'entropy', offers: ['VERSION_1', 'RING_EVENT_IDX', 'RING_PACKED'] },
          queue: { layout: isPacked ? 'packed' : 'split' },
          workload: { kind: 'mixed', requests: REQUESTS, depth, blockSize: `${blockSize}B`, seed },
        });
        expect([failure, workload.mismatches.first, workload.verified]).toEqual([null, [], true]);
      }),
      { numRuns: 4 },
    );
  });
});
