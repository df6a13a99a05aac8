import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportsOf, virtioPlatform } from '../command/command.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const TIMEOUT_MS = 300_000;

const TRANSLATIONS = {
  'VT-d, translated': `
platform: { use: "@virtio-platform/platform-intel-iommu" }
machine: { use: "@virtio-platform/machine-qemu", board: q35, iommu: intel, memory: 64MiB, arguments: [ARGUMENTS] }
expect: { path: translated, faults: 0, verified: true }`,
  'pseries, dynamic': `
platform: { use: "@virtio-platform/platform-pseries", window: { kind: default, mapping: dynamic } }
machine: { use: "@virtio-platform/machine-qemu", board: pseries, memory: 256MiB, arguments: [ARGUMENTS] }
expect: { path: translated, faults: 0, verified: true }`,
  'pseries, linear': `
platform: { use: "@virtio-platform/platform-pseries", window: { kind: ddw, mapping: linear, pageSize: 4KiB } }
machine: { use: "@virtio-platform/machine-qemu", board: pseries, memory: 256MiB, arguments: [ARGUMENTS] }
expect: { path: linear, faults: 0, verified: true }`,
};

const QUEUES = {
  'block, 512 entries': `
device: { type: block, capacity: 16MiB, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, BLK_SEG_MAX] }
queue: { layout: split, size: 512 }
workload: { kind: write-read-verify, requests: 6000, depth: 64, blockSize: 4KiB, seed: 7 }`,
  'block, 1024 entries': `
device: { type: block, capacity: 16MiB, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, BLK_SEG_MAX] }
queue: { layout: split, size: 1024 }
workload: { kind: write-read-verify, requests: 6000, depth: 64, blockSize: 4KiB, seed: 7 }`,
  'net, 1024 entries': `
device: { type: net, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, NET_MAC] }
queue: { layout: split, size: 1024 }
workload: { kind: echo, requests: 6000, depth: 64, blockSize: 1514B, seed: 7 }`,
};

/** QEMU's own defaults are 256 entries: these properties, which the machine does not set, give the longest queues. */
const LONG_QUEUES = '-global, virtio-blk-device.queue-size=1024, -global, virtio-net-device.rx_queue_size=1024';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!QEMU_TESTS.mayRun)(`split rings whose used ring has several pages (${QEMU_TESTS.needs})`, () => {
  for (const [translation, behind] of Object.entries(TRANSLATIONS)) {
    it.each(Object.entries(QUEUES))(`I7 ${translation}: %s`, { timeout: TIMEOUT_MS }, async (name, device) => {
      const path = join(folder, `${translation}-${name}.yaml`.replaceAll(/[ ,]+/g, '-'));
      const text = `profile: long-queue\n${behind}\n${device}\n`;
      writeFileSync(path, text.replaceAll('ARGUMENTS', LONG_QUEUES));
      const result = await virtioPlatform(['run', path, '--json']);
      expect(result.stderr).toBe('');
      const size = Number(/size: (\d+)/.exec(device)![1]);
      expect(reportsOf(result)).toMatchObject([
        { queue: { layout: 'split', size }, workload: { errors: 0, verified: true }, differences: [] },
      ]);
      expect(result.status).toBe(0);
    });
  }
});
