import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeDeviceType } from '@virtio-platform/conformance';
import plugin from '@virtio-platform/device-net';
import { afterAll } from 'vitest';
import { testFrame } from './frames.ts';
import { captureBytes } from './pcap/captures.ts';

const module = new URL('../src/index.ts', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));
const input = join(folder, 'input.pcap');
const output = join(folder, 'output.pcap');
writeFileSync(input, captureBytes([0, 9, 500, 1400].map((payload) => testFrame({ payload, id: payload }).bytes)));

describeDeviceType(plugin, {
  workloads: {
    echo: { blockSize: 700 },
    stream: { blockSize: 1514 },
    mixed: { blockSize: 2000, commands: 0.3 },
    pcap: { input, output },
  },
  requests: 24,
  module,
});
