import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { missingProgram } from '@virtio-platform/host';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveProfile } from './served-command.ts';

const mayRun = process.env['CI'] !== undefined || missingProgram('dpdk-testpmd') === undefined;
const NEEDS = 'needs dpdk-testpmd: apt-get install dpdk-dev librte-net-virtio23 librte-mempool-ring23';

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

const DEVICE = {
  profile: 'served-to-dpdk',
  summary: 'A network device whose cable gives back what is sent.',
  platform: { use: '@virtio-platform/platform-legacy' },
  machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
  device: { type: 'net' },
  queue: { layout: 'packed', size: 256 },
  workload: { kind: 'echo', requests: 1, depth: 1, blockSize: 1000 },
};
const ARGUMENTS = [
  '--lcores=0-1',
  '--no-pci',
  '--no-telemetry',
  '--no-huge',
  '-m',
  '256',
  '--no-shconf',
  '--vdev=net_virtio_user0,path={socket},packed_vq=1,in_order=1,mrg_rxbuf=1',
  '--',
  '-i',
  '--forward-mode=io',
  '--total-num-mbufs=2048',
];
const PACKETS = 2000;

/** Lets DPDK send until it received so many packets. Gives what it printed. */
async function forwardPackets(socket: string): Promise<string> {
  const testpmd = spawn(
    'dpdk-testpmd',
    ARGUMENTS.map((word) => word.replace('{socket}', socket)),
    { stdio: ['pipe', 'pipe', 'ignore'] },
  );
  let output = '';
  testpmd.stdout.on('data', (chunk) => (output += String(chunk)));
  const ended = once(testpmd, 'exit');
  const received = (): number => Number(/.*RX-packets: (\d+)/s.exec(output)?.[1] ?? 0);
  try {
    testpmd.stdin.write('start tx_first\n');
    for (let tries = 0; tries < 200 && received() < PACKETS && testpmd.exitCode === null; tries++) {
      await setTimeout(100);
      testpmd.stdin.write('show port stats 0\n');
    }
    testpmd.stdin.end('stop\nquit\n');
    await ended;
    return output;
  } finally {
    testpmd.kill('SIGKILL');
  }
}

describe.skipIf(!mayRun)(`serve, under DPDK’s virtio_user (${NEEDS})`, () => {
  it('is a network device with packed rings, in order, that loses no packet', async () => {
    const server = await serveProfile(folder.path, 'dpdk', DEVICE);
    let output = '';
    try {
      output = await forwardPackets(server.socket);
    } finally {
      await server.end();
    }
    const [, received, sent] =
      /RX-packets: (\d+) .*?TX-packets: (\d+) /s.exec(output.slice(output.indexOf('Forward stat'))) ?? [];
    expect(Number(received), output.slice(-2000)).toBeGreaterThanOrEqual(PACKETS);
    const events = server.events();
    expect(events.filter(({ kind }) => kind === 'problem' || kind === 'finding')).toEqual([]);
    expect(events.find(({ kind }) => kind === 'negotiated')).toMatchObject({
      accepted: expect.arrayContaining(['RING_PACKED', 'IN_ORDER', 'NET_MRG_RXBUF']),
    });
    const stopped = events.filter(({ kind }) => kind === 'queue-stopped').map(({ buffers }) => Number(buffers));
    // What was sent last may still be on its way when DPDK stops to look.
    expect(stopped).toHaveLength(2);
    expect(Math.abs(stopped[0]! - stopped[1]!)).toBeLessThanOrEqual(64);
    expect(Number(sent)).toBeLessThanOrEqual(stopped[1]!);
  });
});
