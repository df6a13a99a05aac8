import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildNetEcho, skipsNetEcho } from '@virtio-platform/conformance/testing';
import { commandProcess, reportsOf, ROOT, virtioPlatform } from '../command/command.ts';
import { expectedBlock } from './expected-block.ts';
import { STORAGE_DAEMON_TESTS } from './qemu-installed.ts';
import { triedRequests } from './tried-requests.ts';

const SKIPS_DPDK = skipsNetEcho();

/** What has to be installed for these tests, and whether it is. CI installs it and must not skip them. */
const isInstalled = (program: string, ...words: string[]): boolean => {
  try {
    execFileSync(program, words, { stdio: 'ignore' });
    return true;
  } catch {
    return process.env['CI'] !== undefined;
  }
};
const { mayRun, needs: NEEDS } = STORAGE_DAEMON_TESTS;
const NEEDS_DPDK = 'needs dpdk-testpmd: apt-get install dpdk-dev librte-net-vhost23 librte-mempool-ring23';
const hasTestpmd = isInstalled('sh', '-c', 'command -v dpdk-testpmd');

const FOLDER = join(ROOT, 'profiles/vhost-user');
const PROFILES = readdirSync(FOLDER);
const MIXED = 'mixed.yaml';
const BLOCK_PROFILES = PROFILES.filter((name) => !name.startsWith('dpdk-') && name !== MIXED);
const NET_PROFILES = PROFILES.filter((name) => name.startsWith('dpdk-'));
const BLOCK = 4096;
const CAPACITY = 64 * 1024 * 1024;
const REQUESTS = triedRequests(100_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The round that wrote a block last: each round writes up to all blocks and reads them, in half of what is left. */
function lastRounds(requests: number): Int32Array {
  const blocks = CAPACITY / BLOCK;
  const rounds = new Int32Array(blocks).fill(-1);
  for (let left = requests, round = 0; left > 0; round++) {
    const writes = Math.min(blocks, Math.ceil(left / 2));
    rounds.fill(round, 0, writes);
    left -= writes + Math.min(writes, left - writes);
  }
  return rounds;
}

/** Whether something was written to the begin of an image of zeros. */
function isWritten(image: string): boolean {
  return readFileSync(image)
    .subarray(0, BLOCK)
    .some((byte) => byte !== 0);
}

/** Process ids of storage daemons that were started with this image. */
function daemonsOf(image: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return words.startsWith('qemu-storage-daemon') && words.includes(image);
      } catch {
        return false;
      }
    });
}

describe.skipIf(!mayRun)(`the real back-end (${NEEDS})`, () => {
  it.each(BLOCK_PROFILES)(`%s completes and verifies ${REQUESTS} requests at depth 32`, async (name) => {
    const image = join(folder, `${name}.img`);
    const path = join(folder, name);
    writeFileSync(path, `extends: ${join(FOLDER, name)}\nprofile: with-image\ndevice: { image: ${image} }\n`);
    writeFileSync(image, Buffer.alloc(CAPACITY));
    const result = await virtioPlatform(['run', path, '--json', '--set', `workload.requests=${REQUESTS}`]);
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const [report] = reportsOf(result);
    expect(report).toMatchObject({
      machine: 'vhost-user',
      outcome: 'completed',
      differences: [],
      faults: [],
      workload: { requests: REQUESTS, errors: 0, verified: true },
      dma: { live: 0 },
    });
    const bytes = readFileSync(image);
    const wrong = [...lastRounds(REQUESTS).entries()].filter(
      ([block, round]) =>
        !bytes
          .subarray(block * BLOCK, (block + 1) * BLOCK)
          .equals(round < 0 ? Buffer.alloc(BLOCK) : expectedBlock(BLOCK, 20, block, round)),
    );
    expect(wrong).toEqual([]);
    expect(daemonsOf(image)).toEqual([]);
    rmSync(image);
  });

  it(`${MIXED} completes and verifies 10,000 requests of all kinds, and what the back-end has to refuse`, async () => {
    const result = await virtioPlatform(['run', join(FOLDER, MIXED), '--json']);
    expect(result.stderr).toBe('');
    const reports = reportsOf(result);
    expect(reports).toHaveLength(3);
    for (const report of reports)
      expect(report).toMatchObject({
        outcome: 'completed',
        differences: [],
        workload: { requests: 10_000, errors: 0, verified: true },
        dma: { live: 0 },
      });
    expect(result.status).toBe(0);
  });

  it.each(['sev', 'vfio'])('ends clearly when it is killed under %s', async (name) => {
    const image = join(folder, 'killed.img');
    const path = join(folder, 'killed.yaml');
    writeFileSync(
      path,
      `extends: ${join(FOLDER, `${name}.yaml`)}
profile: killed
device: { image: ${image} }
workload: { requests: 50000000 }
`,
    );
    writeFileSync(image, Buffer.alloc(CAPACITY));
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    const { finished } = commandProcess(['run', path, '--json'], { TMPDIR: temporary });
    const pid = await startedDaemon(image);
    // A machine where others work too takes a while to the first request.
    for (let waited = 0; waited < 20_000 && !isWritten(image); waited += 50) await setTimeout(50);
    await setTimeout(200);
    const killedAt = performance.now();
    process.kill(pid, 'SIGKILL');
    const result = await finished;
    expect(performance.now() - killedAt).toBeLessThan(10_000);
    expect(result.status).toBe(1);
    const [report] = reportsOf(result);
    expect(report).toMatchObject({ outcome: 'failed', failure: { code: 'ERR_DEVICE_LOST' }, dma: { live: 0 } });
    expect(report!.workload.requests).toBeGreaterThan(0);
    expect(daemonsOf(image)).toEqual([]);
    expect(readdirSync(temporary).filter((name) => name.startsWith('virtio-platform-'))).toEqual([]);
  });

  it('is ended with the command that is interrupted', async () => {
    const image = join(folder, 'interrupted.img');
    const path = join(folder, 'interrupted.yaml');
    writeFileSync(
      path,
      `extends: ${join(FOLDER, 'physical.yaml')}\nprofile: interrupted\ndevice: { image: ${image} }\nworkload: { requests: 50000000 }\n`,
    );
    writeFileSync(image, Buffer.alloc(CAPACITY));
    const { process: child, finished } = commandProcess(['run', path]);
    await startedDaemon(image);
    await setTimeout(300);
    child.kill('SIGINT');
    await finished;
    await setTimeout(300);
    expect(daemonsOf(image)).toEqual([]);
  });
});

/** What every run has to show, of so many packets. */
const echoed = (requests: number): object => ({
  machine: 'vhost-user',
  device: 'net',
  outcome: 'completed',
  differences: [],
  faults: [],
  workload: { requests, errors: 0, verified: true },
  dma: { live: 0 },
});

describe.skipIf(!hasTestpmd)(`a back-end that translates, testpmd (${NEEDS_DPDK})`, () => {
  it.each(NET_PROFILES)('%s completes and verifies its packets, split and packed', async (name) => {
    const packets = triedRequests(name === 'dpdk-pseries-dynamic.yaml' ? 5000 : 20_000);
    const result = await virtioPlatform(['run', join(FOLDER, name), '--json', '--set', `workload.requests=${packets}`]);
    expect(result.stderr).toBe('');
    const reports = reportsOf(result);
    expect(reports).toMatchObject([
      { ...echoed(packets), queue: { layout: 'split' } },
      { ...echoed(packets), queue: { layout: 'packed' } },
    ]);
    expect(result.status).toBe(0);
  });
});

describe.skipIf(SKIPS_DPDK)('a back-end that asks for every page (needs gcc libc6-dev pkg-config libdpdk-dev)', () => {
  let built: ReturnType<typeof buildNetEcho>;
  beforeAll(() => {
    built = buildNetEcho();
  });
  afterAll(() => built.remove());

  /** A profile that extends a shipped one. */
  function extended(name: string, changes: string): string {
    const path = join(folder, 'asking.yaml');
    const command = `[${built.program}, "{socket}"]`;
    writeFileSync(
      path,
      `extends: ${join(FOLDER, name)}\nprofile: asking\nmachine: { command: ${command}, iotlb: { fill: on-miss } }\n${changes}`,
    );
    return path;
  }

  it.each(['dpdk-vfio.yaml', 'dpdk-pseries-dynamic.yaml'])(
    'echoes 2,000 packets that are mapped one by one: %s',
    async (name) => {
      const changes = [
        'driver: { buffers: streaming }',
        'workload: { requests: 2000 }',
        'matrix: { queue.layout: [split] }',
      ];
      const path = extended(name, `${changes.join('\n')}\n`);
      const result = await virtioPlatform(['run', path, '--json']);
      expect(reportsOf(result)).toMatchObject([echoed(2000)]);
      expect(result.status).toBe(0);
    },
  );

  it.each([
    ['physical', 'split', 'platform-legacy', '', 'device: { offers: [VERSION_1, RING_PACKED, NET_MAC] }'],
    ['bounced', 'packed', 'platform-sev', 'pool: 1MiB', ''],
    ['linear', 'split', 'platform-pseries', 'window: { kind: ddw, mapping: linear }', ''],
    ['translated', 'packed', 'platform-vfio', 'container: iommufd', 'driver: { privilege: process }'],
  ])('reaches memory on the %s path, %s: %s', async (path, layout, platform, options, rest) => {
    const file = join(folder, `${path}.yaml`);
    writeFileSync(
      file,
      `extends: ${join(FOLDER, 'dpdk-pseries-dynamic.yaml')}
profile: ${path}
platform: { use: "@virtio-platform/${platform}", ${options} }
machine: { command: [${built.program}, "{socket}"] }
workload: { requests: 2000 }
matrix: { queue.layout: [${layout}] }
expect: { path: ${path} }
${rest}
`,
    );
    const result = await virtioPlatform(['run', file, '--json']);
    expect(result.stderr).toBe('');
    expect(reportsOf(result)).toMatchObject([{ ...echoed(2000), queue: { layout } }]);
  });

  it('says which address a queue stalled at', async () => {
    const strict = 'machine: { iotlb: { writeImpliesRead: false } }';
    const path = extended('dpdk-vfio.yaml', 'driver: { timeout: 500ms }\nmatrix: { queue.layout: [split] }\n');
    writeFileSync(join(folder, 'strict.yaml'), `extends: ${path}\nprofile: strict\n${strict}\n`);
    const result = await virtioPlatform(['run', join(folder, 'strict.yaml'), '--json']);
    expect(result.status).toBe(1);
    const [report] = reportsOf(result);
    expect(report).toMatchObject({
      outcome: 'failed',
      failure: {
        code: 'ERR_DEVICE_STALLED',
        hint: expect.stringMatching(/^the device was refused a read of 1 bytes at 0x[0-9a-f]+: read-not-permitted/),
      },
      faults: [{ access: 'read', cause: 'read-not-permitted' }],
      dma: { live: 0 },
    });
  });
});

async function startedDaemon(image: string): Promise<number> {
  for (let i = 0; i < 100; i++) {
    const [pid] = daemonsOf(image);
    if (pid !== undefined) return Number(pid);
    await setTimeout(100);
  }
  throw new Error('the storage daemon was not started');
}
