import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { ConformReport } from '@virtio-platform/conform';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { loadProfile } from '@virtio-platform/profile';
import { startProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere } from '../command/command.ts';
import { SERVED_TYPES, servedProfile } from '../conform-serve/serve-profiles.ts';
import { QEMU_TESTS } from './qemu-installed.ts';
import { serveProfile, type ServedCommand } from './served-command.ts';

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

const RING = ['VERSION_1', 'RING_PACKED', 'RING_EVENT_IDX', 'RING_INDIRECT_DESC'];
const BLOCK = ['BLK_SEG_MAX', 'BLK_BLK_SIZE', 'BLK_FLUSH', 'BLK_CONFIG_WCE'];

interface Served {
  readonly device: Readonly<Record<string, unknown>>;
  readonly workload: Readonly<Record<string, unknown>>;
  readonly platform?: string;
  readonly driver?: Readonly<Record<string, unknown>>;
  /** Entries of a queue: 128 unless given. */
  readonly size?: number;
}

const SERVED: Readonly<Record<string, Served>> = {
  'a block device with two queues, resized while it works': {
    device: {
      type: 'block',
      capacity: '8MiB',
      queues: 2,
      offers: [...RING, ...BLOCK, 'BLK_MQ'],
      resizes: [
        { after: 100, capacity: '16MiB' },
        { after: 400, capacity: '12MiB' },
      ],
    },
    workload: { kind: 'mixed', requests: 600, depth: 32, blockSize: '4KiB', reads: 0.6, flushes: 0.02, seed: 7 },
  },
  'a block device behind an IOMMU that each buffer enters and leaves': {
    platform: 'intel-iommu',
    device: { type: 'block', capacity: '4MiB', offers: [...RING, ...BLOCK, 'ACCESS_PLATFORM'] },
    driver: { buffers: 'streaming' },
    workload: { kind: 'write-read-verify', requests: 150, depth: 16, blockSize: '8KiB', seed: 9 },
  },
  'a network device': {
    device: { type: 'net', mac: '52:54:00:ca:fe:01', offers: [...RING, 'NET_MAC', 'NET_STATUS', 'NET_MRG_RXBUF'] },
    workload: { kind: 'echo', requests: 500, depth: 32, blockSize: 4000, seed: 15 },
  },
  'a network device with two pairs of queues': {
    device: {
      type: 'net',
      queuePairs: 2,
      offers: [...RING, 'NET_MAC', 'NET_STATUS', 'NET_MRG_RXBUF', 'NET_CTRL_VQ', 'NET_MQ'],
    },
    workload: { kind: 'echo', requests: 500, depth: 32, blockSize: 1000, seed: 15 },
  },
  'a console with four ports': {
    device: { type: 'console', ports: 4, offers: [...RING, 'CONSOLE_SIZE', 'CONSOLE_MULTIPORT'] },
    workload: { kind: 'echo', requests: 500, depth: 32, blockSize: '4KiB', seed: 14 },
  },
  'an entropy device that returns buffers in order': {
    device: { type: 'entropy', seed: 20191006, offers: [...RING, 'IN_ORDER'] },
    workload: { kind: 'read', requests: 300, depth: 16, blockSize: '1KiB' },
  },
  'a SCSI host with three disks': {
    device: {
      type: 'scsi',
      queues: 2,
      offers: [...RING, 'SCSI_HOTPLUG', 'SCSI_CHANGE'],
      disks: [
        { target: 0, lun: 0, capacity: '4MiB', serial: 'system' },
        { target: 0, lun: 1, capacity: '4MiB', blockSize: '4KiB' },
        { target: 5, lun: 300, capacity: '4MiB' },
      ],
    },
    workload: { kind: 'write-read-verify', requests: 300, depth: 32, blockSize: '8KiB', seed: 8 },
  },
  'a balloon with statistics, hints and reports of free pages': {
    device: {
      type: 'balloon',
      targets: ['2MiB', '512KiB', '4MiB', '0B'],
      hints: true,
      statistics: '5ms',
      offers: [
        ...RING,
        'BALLOON_MUST_TELL_HOST',
        'BALLOON_STATS_VQ',
        'BALLOON_DEFLATE_ON_OOM',
        'BALLOON_FREE_PAGE_HINT',
        'BALLOON_PAGE_POISON',
        'BALLOON_PAGE_REPORTING',
      ],
    },
    workload: { kind: 'mixed', requests: 150, depth: 8, batch: 16, seed: 7 },
    size: 32,
  },
};

function profileOf(
  { device, workload, platform = 'legacy', driver = {}, size = 128 }: Served,
  machine: object,
  layout: string,
): object {
  return {
    profile: 'served',
    summary: 'A device that is served.',
    platform: { use: `@virtio-platform/platform-${platform}` },
    machine: { memory: '16MiB', ...machine },
    device,
    driver,
    queue: { layout, size },
    workload,
  };
}

/** Drives what is served with our own driver, on a machine that reaches it. */
async function drive(served: Served, machine: object, layout: string): Promise<RunReport> {
  const profile = await loadProfile({ text: JSON.stringify(profileOf(served, machine, layout)) });
  return await startProfile(profile).report;
}

/** The server is told of the end of a connection by the kernel. */
async function untilDisconnected({ events }: ServedCommand, times: number): Promise<void> {
  const count = (): number => events().filter(({ kind }) => kind === 'disconnected').length;
  for (const end = performance.now() + 10_000; count() < times; await setTimeout(10))
    if (performance.now() > end) throw new Error(`${count()} of ${times} front-ends left: ${JSON.stringify(events())}`);
}

/**
 * Serves a device, and drives it on a split ring, then as the next front-end on a packed one. Gives what the server
 * told of problems, and found wrong with the driver.
 */
async function problemsOf(name: string, served: Served, machineAt: (socket: string) => object): Promise<unknown[]> {
  const device = profileOf(served, { use: '@virtio-platform/machine-simulated' }, 'packed');
  const server = await serveProfile(folder.path, name, device);
  try {
    for (const [turn, layout] of ['split', 'packed'].entries()) {
      const report = await drive(served, machineAt(server.socket), layout);
      expect(report.failure?.message).toBeUndefined();
      expect(report).toMatchObject({ outcome: 'completed', faults: [] });
      expect(report.workload.verified).toBe(true);
      expect(report.queue?.layout ?? layout).toBe(layout);
      await untilDisconnected(server, turn + 1);
    }
  } finally {
    const { status } = await server.end();
    expect(status).toBe(130);
  }
  expect(existsSync(server.socket)).toBe(false);
  const kinds = server.events().map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'negotiated')).toHaveLength(2);
  return server.events().filter(({ kind }) => kind === 'problem' || kind === 'finding');
}

describe('serve, under our own driver', () => {
  for (const [index, [name, served]] of Object.entries(SERVED).entries()) {
    it(`is ${name}: on a split ring, and for the next front-end on a packed one`, async () => {
      const problems = await problemsOf(`device-${index}`, served, (socket) => ({
        use: '@virtio-platform/machine-vhost-user',
        socket,
      }));
      expect(problems).toEqual([]);
    });
  }
});

const { mayRun, needs } = QEMU_TESTS;
describe.skipIf(!mayRun)(`serve, behind QEMU, with our own driver at the other end (${needs})`, () => {
  const qemu = { use: '@virtio-platform/machine-qemu', board: 'q35' };
  const offers = [...RING, 'BLK_SEG_MAX', 'BLK_FLUSH'];
  const workload = { kind: 'write-read-verify', requests: 100, depth: 16, blockSize: '4KiB', seed: 20 };

  it('is a disk that sees guest-physical addresses', async () => {
    const served = { device: { type: 'block', capacity: '4MiB', offers }, workload };
    expect(await problemsOf('qemu', served, (backEnd) => ({ ...qemu, backEnd }))).toEqual([]);
  });

  it('is a disk behind an IOMMU, of which QEMU translates what our driver mapped', async () => {
    const device = { type: 'block', capacity: '4MiB', offers: [...offers, 'ACCESS_PLATFORM'] };
    const served = { platform: 'intel-iommu', device, driver: { buffers: 'streaming' }, workload };
    const problems = await problemsOf('qemu-iommu', served, (backEnd) => ({ ...qemu, iommu: 'intel', backEnd }));
    expect(problems).toEqual([]);
  });
});

describe('conform', () => {
  // A part of the cases, which is another one of each type; `npm run conform:serve` tries all of them.
  for (const [index, name] of Object.keys(SERVED_TYPES).entries()) {
    it(`finds nothing wrong with a device that is served: ${name}`, async () => {
      const server = await serveProfile(folder.path, `conform-${name}`, await servedProfile(name, 'physical'), []);
      const part = `${index + 1}/40`;
      const words = ['conform', '--type', name, '--socket', server.socket, '--shard', part, '--json'];
      const { status, stdout } = await commandHere(words);
      await server.end();
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what --json prints
      const report = JSON.parse(stdout) as ConformReport;
      expect(report.cases.filter(({ verdict }) => verdict !== 'pass' && verdict !== 'skip')).toEqual([]);
      expect(report.cases.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(8);
      expect(status).toBe(0);
    });
  }
});
