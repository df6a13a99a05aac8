import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkProfile, formatIssue } from '@virtio-platform/profile';
import { afterAll, describe, expect, it } from 'vitest';

/** The package whose dependencies are the shipped device types. */
const COMMAND = fileURLToPath(new URL('../../packages/cli/package.json', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The sections `device`, `workload` and others of profiles that are wrong, by what is wrong. */
const WRONG: Readonly<Record<string, string>> = {
  'a type that does not exist': 'device: { type: blok }',
  'a type that is no text': 'device: { type: 5 }',
  'no type': 'device: { capacity: 16MiB }',
  'a device that is no map': 'device: block',
  'a size with a wrong unit': 'device: { type: block, capacity: 64MB }',
  'a capacity that is no multiple of a sector': 'device: { type: block, capacity: 1000B }',
  'a capacity of no sector': 'device: { type: block, capacity: 0B }',
  'a misspelt setting': 'device: { type: block, capactiy: 16MiB }',
  'a setting of another type': 'device: { type: block, mac: "52:54:00:12:34:56" }',
  'a setting of no type': 'device: { type: block, colour: red }',
  'a block setting of a net device': 'device: { type: net, capacity: 16MiB }',
  'a serial that is too long': 'device: { type: block, serial: 012345678901234567890 }',
  'a serial that is not ASCII': 'device: { type: block, serial: "\u00e4" }',
  'too many queues': 'device: { type: block, queues: 65 }',
  'no queues': 'device: { type: block, queues: 0 }',
  'a mac of five bytes': 'device: { type: net, mac: "52:54:00:12:34" }',
  'a mac without quotes': 'device: { type: net, mac: 52 }',
  'too many pairs': 'device: { type: net, queuePairs: 16 }',
  'too many ports': 'device: { type: console, ports: 32 }',
  'ports that are no number': 'device: { type: console, ports: two }',
  'a port that is there twice': 'device: { type: console, ports: [{ id: 1 }, { id: 1 }] }',
  'a port with a misspelt key': 'device: { type: console, ports: [{ id: 1, nmae: agent }] }',
  'fewer ports than there are': 'device: { type: console, ports: 3, maxPorts: 2 }',
  'a port that goes and is not there': 'device: { type: console, changes: [{ after: 5, remove: 1 }] }',
  'a change that changes nothing': 'device: { type: console, changes: [{ after: 5 }] }',
  'ports that change under an echo':
    'device: { type: console, ports: 2, changes: [{ after: 5, remove: 1 }] }\nworkload: { kind: echo, requests: 10, depth: 1, blockSize: 64B }',
  'a period without a limit': 'device: { type: entropy, period: 5 }',
  'a limit of a buffer that is too large': 'device: { type: entropy, bufferBytes: 1MiB }',
  'a wide console': 'device: { type: console, columns: 70000 }',
  'a seed that is negative': 'device: { type: entropy, seed: -1 }',
  'a read-only image that is resized':
    'device: { type: block, image: a.raw, readOnly: true, resizes: [{ after: 5, capacity: 32MiB }] }',
  'a device by two names': 'device: { type: block, use: ./my-device.js }',
  'a device plugin that is not there': 'device: { use: ./my-device.js }',
  'a device plugin of another kind': 'device: { use: "@virtio-platform/platform-legacy" }',
  'several at once': 'device: { type: block, capacity: 64MB, readOnly: maybe, queues: 100 }',
  'an interface that does not exist': 'device: { type: block, interface: old }',
  'a feature that does not exist': 'device: { type: block, offers: [VERSION_1, BLK_FLUSHH] }',
  'a feature of another type': 'device: { type: net, offers: [VERSION_1, BLK_FLUSH] }',
  'a feature in the spelling of the specification': 'device: { type: block, offers: [VIRTIO_BLK_F_FLUSH] }',
  'a feature that the driver lacks': 'driver: { lacks: [NET_MRG_RXBUF] }',
  'a feature that is expected': 'expect: { accepted: [VERSION_1, CONSOLE_SIZE] }',
  'a workload of another type': 'workload: { kind: echo, requests: 10, depth: 1, blockSize: 4KiB }',
  'a workload that does not exist': 'workload: { kind: wirte-read-verify, requests: 10, depth: 1, blockSize: 4KiB }',
  'a workload without a kind': 'workload: { requests: 10, depth: 1, blockSize: 4KiB }',
  'a block that is no multiple of a sector':
    'workload: { kind: write-read-verify, requests: 10, depth: 1, blockSize: 100B }',
  'no block size': 'workload: { kind: write-read-verify, requests: 10, depth: 1 }',
  'a misspelt workload key': 'workload: { kind: write-read-verify, requests: 10, depth: 1, blokSize: 4KiB }',
  'a block that is larger than the disk':
    'device: { type: block, capacity: 4KiB }\nworkload: { kind: write-read-verify, requests: 10, depth: 1, blockSize: 8KiB }',
  'a frame that is too short': 'device: { type: net }\nworkload: { kind: echo, requests: 10, depth: 1, blockSize: 8B }',
  'a frame that is too long':
    'device: { type: net }\nworkload: { kind: echo, requests: 10, depth: 1, blockSize: 1MiB }',
  'a queue reset that loses frames':
    'device: { type: net }\nworkload: { kind: echo, requests: 10, depth: 1, blockSize: 64B, disruptions: [{ after: 5, do: reset-queues }] }',
  'a queue reset with a wrong size':
    'workload: { kind: write-read-verify, requests: 10, depth: 1, blockSize: 4KiB, disruptions: [{ after: 5, do: reset-queues, size: 100 }] }',
  'more than memory':
    'machine: { use: "@virtio-platform/machine-simulated", memory: 1MiB }\nworkload: { kind: write-read-verify, requests: 10, depth: 64, blockSize: 64KiB }',
};

const DEFAULTS: Readonly<Record<string, string>> = {
  platform: 'platform: { use: "@virtio-platform/platform-legacy" }',
  machine: 'machine: { use: "@virtio-platform/machine-simulated", memory: 64MiB }',
  device: 'device: { type: block }',
  workload: 'workload: { kind: write-read-verify, requests: 10, depth: 1, blockSize: 4KiB }',
};

/** The snapshots hold the words of messages, so that a change of where a check stands cannot make them worse. */
describe('what a profile says about its device', () => {
  it.for(Object.entries(WRONG))('%s', async ([, sections]) => {
    const given = new Set(sections.split('\n').map((line) => line.split(':', 1)[0]!));
    const rest = Object.entries(DEFAULTS).flatMap(([name, line]) => (given.has(name) ? [] : [line]));
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, ['profile: wrong', sections, ...rest, ''].join('\n'));
    const { issues } = await checkProfile(file, { resolveFrom: [COMMAND] });
    const lines = issues.map((issue) => formatIssue(issue).replace(/^.*wrong\.yaml/, 'wrong.yaml'));
    expect(lines.join('\n')).toMatchSnapshot();
  });
});
