import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, reportsOf } from '../command/command.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const PLATFORMS = {
  'intel-iommu': (size: string) => `platform: { use: "@virtio-platform/platform-intel-iommu", aperture: ${size} }`,
  'spapr-v1': (size: string) => `platform:
  use: "@virtio-platform/platform-vfio"
  container: spapr-v1
  defaultWindowSize: ${size}
  memoryLockLimit: 1GiB`,
};

const DEVICES = {
  net: 'type: net, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, NET_MAC]',
  'net with merged buffers': 'type: net, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, NET_MAC, NET_MRG_RXBUF]',
  'net with two pairs':
    'type: net, queuePairs: 2, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, NET_MAC, NET_CTRL_VQ, NET_MQ]',
  console: 'type: console, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX]',
};

/** Runs an echo, whose buffers are mapped one by one, in a window of one size. */
async function echo(
  { platform, device, thread }: { platform: string; device: string; thread: string },
  requests = 500,
): Promise<ReturnType<typeof reportsOf>[number]> {
  const path = join(folder, 'small-window.yaml');
  const isProcess = platform.includes('platform-vfio');
  writeFileSync(
    path,
    `profile: small-window
${platform}
machine: { use: "@virtio-platform/machine-simulated", memory: 64MiB, device: ${thread} }
device: { ${device} }
driver: { buffers: streaming, timeout: 2s${isProcess ? ', privilege: process' : ''} }
queue: { size: 64 }
workload: { kind: echo, requests: ${requests}, depth: 64, blockSize: 1514B, seed: 7 }
`,
  );
  return reportsOf(await commandHere(['run', path, '--json']))[0]!;
}

describe('buffers that are mapped one by one in a small window', () => {
  const runs = Object.entries(PLATFORMS).flatMap(([platform, of]) =>
    Object.entries(DEVICES).flatMap(([device, settings]) =>
      ['same-thread', 'worker'].map((thread) => ({ platform, device, thread, of, settings })),
    ),
  );

  it.each(runs.filter(({ platform, device }) => platform === 'intel-iommu' || !device.includes('two')))(
    'T6 leave room to send on $device behind $platform, with the device in $thread',
    async ({ of, settings, thread }) => {
      for (const size of ['128KiB', '256KiB']) {
        const report = await echo({ platform: of(size), device: settings, thread });
        expect(report).toMatchObject({ outcome: 'completed', workload: { errors: 0, verified: true } });
      }
    },
  );

  it.each([
    ['a window of two rings', PLATFORMS['intel-iommu']('16KiB'), DEVICES['net with two pairs']],
    ['one mapping for the control queue', PLATFORMS['spapr-v1']('256KiB'), DEVICES['net with two pairs']],
    ['a window of two pages', PLATFORMS['spapr-v1']('16KiB'), DEVICES.net],
  ])('T6 are exhausted, and no device stalls, with %s', async (_what, platform, device) => {
    const report = await echo({ platform, device, thread: 'same-thread' });
    expect(report).toMatchObject({ outcome: 'failed', failure: { code: 'ERR_DMA_EXHAUSTED' } });
  });
});
