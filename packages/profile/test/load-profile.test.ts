import { NET_FEATURES } from '@virtio-platform/device-net';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { displayPath, ProfileError, type ProfileIssue } from '../src/source/profile-issue.ts';
import { checkProfile, loadProfile } from '../src/load-profile.ts';
import { caught } from './support/caught.ts';
import { profileText, type ProfileLines } from './support/profile-text.ts';
import { SHIPPED, fixture, temporaryFolder, temporaryProfile } from './support/temporary-folder.ts';
/** A profile as the documentation shows it, over the fixture plugins. */
const COMPLETE = `# yaml-language-server: $schema=../virtio-platform.schema.json
profile: pseries-linear
summary: A POWER guest whose 64-bit DMA window maps all of memory at a fixed offset.
platform:
  use: "${fixture('tiny-platform')}"
  window: { pages: 16 }
machine:
  use: "${fixture('tiny-machine')}"
  memory: 64MiB
device:
  type: block
  capacity: 16MiB
  offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, RING_INDIRECT_DESC]
driver:
  privilege: kernel
queue: { layout: split, size: 256 }
workload: { kind: write-read-verify, requests: 2000, depth: 32, blockSize: 4KiB, seed: 7 }
expect:
  accepted: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, RING_INDIRECT_DESC]
  path: linear
  faults: 0
`;

const READ = '{ kind: read, requests: 20, depth: 4, blockSize: 4KiB }';
const ECHO = '{ kind: echo, requests: 20, depth: 4, blockSize: 1500 }';
const LONG_PACKET = '{ kind: echo, requests: 20, depth: 4, blockSize: 65KiB }';

const FIVE_MISTAKES = `profile: five-mistakes
platform:
  use: "${fixture('tiny-platform')}"
machine: { use: "${fixture('tiny-machine')}", memory: 64MiB }
device:
  type: block
  offers: [VERSION_1, ACESS_PLATFORM]
driver:
  privilege: kernal
queue: { layut: split, size: 0 }
workload: { kind: write-read-verify, requests: 2000, depth: 32, blockSize: 4KB, seed: 7 }
`;

async function issuesOf(text: string): Promise<readonly ProfileIssue[]> {
  return (await checkProfile(temporaryProfile(text), SHIPPED)).issues;
}

async function onlyIssue(lines: ProfileLines): Promise<ProfileIssue> {
  const issues = await issuesOf(profileText(lines));
  expect(issues).toHaveLength(1);
  return issues[0]!;
}

describe('loadProfile', () => {
  it('loads a complete profile', async () => {
    const file = temporaryProfile(COMPLETE);
    const profile = await loadProfile(file);
    expect(profile).toMatchObject({
      name: 'pseries-linear',
      file,
      memory: 64 * 1024 ** 2,
      platform: { use: fixture('tiny-platform'), options: { window: { pages: 16 } } },
      machine: { use: fixture('tiny-machine'), options: {} },
      device: {
        type: { name: 'block' },
        interface: 'modern',
        settings: { capacity: 16 * 1024 ** 2, readOnly: false, serial: '', queues: 1 },
      },
      driver: { privilege: 'kernel', interface: 'modern', buffers: 'premapped', timeoutMs: 5000, sanitize: false },
      queue: { layout: 'split', size: 256 },
      workload: { kind: 'write-read-verify', requests: 2000, depth: 32, options: { blockSize: 4096 }, seed: 7 },
      expect: { path: 'linear', faults: 0 },
    });
    expect(profile.device.offers?.has(VIRTIO_F_ACCESS_PLATFORM)).toBe(true);
    expect(profile.device.settings).not.toHaveProperty('image');
    expect(profile.platform.locate(['window', 'pages'])).toEqual({ file, line: 6, column: 20 });
    expect(profile.platform.locate(['window'], 'key')).toEqual({ file, line: 6, column: 3 });
    expect(profile.platform.locate(['absent'])).toEqual({ file, line: 4, column: 1 });
  });

  it('takes a schedule for each kind of failure, and fails nothing without one', async () => {
    const [none, some] = await Promise.all(
      ['{}', '{ wrongAddress: { nth: [5], every: 100 } }'].map((failures) =>
        loadProfile(temporaryProfile(`${profileText({})}failures: ${failures}\n`)),
      ),
    );
    expect(none!.failures).toEqual({ map: {}, region: {}, wrongAddress: {} });
    expect(some!.failures).toEqual({ map: {}, region: {}, wrongAddress: { nth: [5], every: 100 } });
  });

  it('gives a legacy device a legacy driver', async () => {
    const profile = await loadProfile(temporaryProfile(profileText({ device: '{ type: block, interface: legacy }' })));
    expect(profile.driver.interface).toBe('legacy');
  });

  it.each([1, 3, 257, 32_768])('takes a packed queue of %i entries', async (size) => {
    const profile = await loadProfile(temporaryProfile(profileText({ queue: `{ layout: packed, size: ${size} }` })));
    expect(profile.queue).toEqual({ layout: 'packed', size });
  });

  it('knows feature bits by their numbers too', async () => {
    const device = '{ type: block, offers: [BIT_32, BIT_100] }';
    const profile = await loadProfile(temporaryProfile(profileText({ device, expect: '{ accepted: [BIT_32] }' })));
    expect(profile.device.offers?.equals(FeatureSet.of(VIRTIO_F_VERSION_1, 100))).toBe(true);
    expect(profile.expect.accepted).toEqual(['VERSION_1']);
  });

  it.each([
    ['entropy', READ, {}],
    ['console', ECHO, { columns: 80, rows: 25, ports: [{ id: 0, console: true }], maxPorts: 1 }],
    ['net', ECHO, { mac: '52:54:00:12:34:56', queuePairs: 1 }],
  ])('fills in the settings of a device of type %s', async (type, workload, settings) => {
    const profile = await loadProfile(temporaryProfile(profileText({ device: `{ type: ${type} }`, workload })));
    expect(profile.device).toMatchObject({ type: { name: type }, interface: 'modern', offers: undefined, settings });
  });

  it('names feature bits as the device type does', async () => {
    const device = '{ type: net, offers: [VERSION_1, NET_MAC, BIT_15] }';
    const text = profileText({ device, workload: ECHO, expect: '{ accepted: [BIT_5], declined: [BIT_15, NET_MQ] }' });
    const profile = await loadProfile(temporaryProfile(text));
    expect(profile.device.offers?.names(NET_FEATURES)).toEqual(['NET_MAC', 'NET_MRG_RXBUF', 'VERSION_1']);
    expect(profile.expect).toMatchObject({ accepted: ['NET_MAC'], declined: ['NET_MRG_RXBUF', 'NET_MQ'] });
  });

  it('reports five mistakes in one go, each at its line and column', async () => {
    const file = temporaryProfile(FIVE_MISTAKES);
    const error = await caught(loadProfile(file), ProfileError);
    expect(error.code).toBe('ERR_PROFILE_INVALID');
    expect(error.message.split('\n').map((line) => line.replace(displayPath(file), 'p'))).toEqual([
      'p:7:23: device.offers.1: must be a feature, not `ACESS_PLATFORM` — did you mean `ACCESS_PLATFORM`?',
      'p:9:14: driver.privilege: must be one of kernel, process, process-noiommu, not `kernal` — did you mean `kernel`?',
      'p:10:10: queue.layut: unknown key `layut` — did you mean `layout`?',
      'p:10:30: queue.size: must be at least 1, not `0`',
      'p:11:76: workload.blockSize: must be a size: a whole number with one of the units B, KiB, MiB, GiB, TiB, not `4KB` — did you mean `4KiB`?',
    ]);
    expect(error.issues[2]).toEqual({
      code: 'ERR_PROFILE_INVALID',
      file,
      line: 10,
      column: 10,
      path: 'queue.layut',
      text: 'layut',
      message: 'unknown key `layut`',
      suggestion: 'layout',
    });
  });

  it('reports what is wrong with plugins together with the rest', async () => {
    const platform = `{ use: ${fixture('tiny-platform')}, mode: fanzy }`;
    const error = await caught(
      loadProfile(temporaryProfile(profileText({ platform, queue: '{ size: 3 }' }))),
      ProfileError,
    );
    expect(error.issues.map(({ code, line, path }) => [code, line, path])).toEqual([
      ['ERR_PLUGIN_OPTIONS', 2, 'platform.mode'],
      ['ERR_PROFILE_INVALID', 6, 'queue.size'],
    ]);
  });

  it('says which file does not exist, and which one may be meant', async () => {
    const folder = temporaryFolder({ 'linear.yaml': COMPLETE });
    const error = await caught(loadProfile(join(folder, 'liner.yaml')), ProfileError);
    expect(error.code).toBe('ERR_PROFILE_NOT_FOUND');
    expect(error.message).toContain('liner.yaml: does not exist — did you mean `');
    expect(error.message).toContain('linear.yaml`?');
  });

  it('refuses a folder', async () => {
    const error = await caught(loadProfile(temporaryFolder({})), ProfileError);
    expect(error).toMatchObject({ code: 'ERR_PROFILE_NOT_FOUND', message: expect.stringContaining('is not a file') });
  });

  it('refuses a file larger than a profile can be', async () => {
    const file = temporaryProfile(COMPLETE);
    truncateSync(file, 1024 * 1024 + 1);
    expect((await caught(loadProfile(file), ProfileError)).message).toContain('is larger than 1 MiB');
  });

  it('refuses bytes that are no text', async () => {
    const file = temporaryProfile('');
    writeFileSync(file, Uint8Array.of(0x61, 0x3a, 0xff, 0xfe));
    expect(await caught(loadProfile(file), ProfileError)).toMatchObject({ code: 'ERR_PROFILE_SYNTAX' });
  });
});

describe('checkProfile', () => {
  it('finds nothing wrong with a complete profile', async () => {
    expect(await issuesOf(COMPLETE)).toEqual([]);
  });

  it.each([
    ['legacy driver on a modern device', { driver: '{ interface: legacy }' }, 'driver.interface', 5],
    [
      'modern driver on a legacy device',
      { driver: '{ interface: modern }', device: '{ type: block, interface: legacy }' },
      'driver.interface',
      5,
    ],
    [
      'legacy driver that accepts ACCESS_PLATFORM',
      { device: '{ type: block, interface: legacy }', expect: '{ accepted: [ACCESS_PLATFORM] }' },
      'expect.accepted',
      8,
    ],
    [
      'legacy device with a feature above 31',
      { device: '{ type: block, interface: legacy, offers: [ANY_LAYOUT, VERSION_1] }' },
      'device.offers',
      4,
    ],
    [
      'transitional device with ACCESS_PLATFORM',
      { device: '{ type: block, interface: transitional, offers: [VERSION_1, ACCESS_PLATFORM] }' },
      'device.offers',
      4,
    ],
    [
      'physical path with ACCESS_PLATFORM',
      { expect: '{ accepted: [ACCESS_PLATFORM], path: physical }' },
      'expect.path',
      8,
    ],
    ['split queue that is no power of two', { queue: '{ size: 257 }' }, 'queue.size', 6],
    ['packed queue that is too large', { queue: '{ layout: packed, size: 32769 }' }, 'queue.size', 6],
    [
      'legacy driver with a packed queue',
      { device: '{ type: block, interface: legacy }', queue: '{ layout: packed }' },
      'queue.layout',
      6,
    ],
    [
      'block of no whole sectors',
      { workload: '{ kind: write-read-verify, requests: 20, depth: 4, blockSize: 1000, seed: 7 }' },
      'workload.blockSize',
      7,
    ],
    ['block larger than the device', { device: '{ type: block, capacity: 2KiB }' }, 'workload.blockSize', 7],
    [
      'depth larger than the number of requests',
      { workload: '{ kind: write-read-verify, requests: 20, depth: 21, blockSize: 4KiB, seed: 7 }' },
      'workload.depth',
      7,
    ],
    [
      'memory too small for the buffers',
      { machine: `{ use: ${fixture('tiny-machine')}, memory: 16KiB }` },
      'machine.memory',
      3,
    ],
    [
      'memory of no whole pages',
      { machine: `{ use: ${fixture('tiny-machine')}, memory: 100000 }` },
      'machine.memory',
      3,
    ],
    [
      'setting of another device type',
      { device: '{ type: entropy, capacity: 16MiB }', workload: READ },
      'device.capacity',
      4,
    ],
    ['feature of another device type', { device: '{ type: block, offers: [NET_MAC] }' }, 'device.offers', 4],
    ['expected feature of another device type', { expect: '{ declined: [CONSOLE_SIZE] }' }, 'expect.declined', 8],
    ['workload of another device type', { workload: ECHO }, 'workload.kind', 7],
    ['packet that is too long', { device: '{ type: net }', workload: LONG_PACKET }, 'workload.blockSize', 7],
    ['address that is none', { device: '{ type: net, mac: "52:54" }', workload: ECHO }, 'device.mac', 4],
    ['port that does not exist', { device: '{ type: console, ports: 32 }', workload: ECHO }, 'device.ports', 4],
    ['serial that is too long', { device: '{ type: block, serial: abcdefghijklmnopqrstu }' }, 'device.serial', 4],
    ['block device without a queue', { device: '{ type: block, queues: 0 }' }, 'device.queues', 4],
    ['block device of too many queues', { device: '{ type: block, queues: 65 }' }, 'device.queues', 4],
    ['queue count of a network', { device: '{ type: net, queues: 2 }', workload: ECHO }, 'device.queues', 4],
    ['timeout without a unit', { driver: '{ timeout: 5 }' }, 'driver.timeout', 5],
    ['section that is a list', { queue: '[]' }, 'queue', 6],
    ['section of which nothing is written', { expect: '' }, 'expect', 8],
    ['number that is text', { queue: '{ size: "256" }' }, 'queue.size', 6],
    ['fraction', { expect: '{ faults: 0.5 }' }, 'expect.faults', 8],
    ['number of more than 64 bits', { queue: '{ size: 0x10000000000000000 }' }, 'queue.size', 6],
    ['missing key', { device: '{ readOnly: true }' }, 'device.type', 4],
  ] as const)('refuses a %s', async (_, lines, path, line) => {
    expect(await onlyIssue(lines)).toMatchObject({ path, line, code: 'ERR_PROFILE_INVALID' });
  });

  it('takes a misspelt required key for one mistake', async () => {
    const workload = '{ kind: write-read-verify, requets: 20, depth: 4, blockSize: 4KiB }';
    expect(await onlyIssue({ workload })).toMatchObject({
      path: 'workload.requets',
      suggestion: 'requests',
      column: 38,
    });
  });

  it('takes a misspelt key of a plugin section for one mistake', async () => {
    const machine = `{ use: ${fixture('tiny-machine')}, memroy: 1MiB }`;
    expect(await onlyIssue({ machine })).toMatchObject({
      path: 'machine.memroy',
      suggestion: 'memory',
      text: 'memroy',
    });
  });

  it('takes a misspelt section for one mistake', async () => {
    const issues = await issuesOf(profileText().replace('workload:', 'worklaod:'));
    expect(issues).toEqual([expect.objectContaining({ path: 'worklaod', line: 7, column: 1, suggestion: 'workload' })]);
  });

  it('draws no conclusions from the default of a key that was misspelt', async () => {
    const device = '{ type: block, capasity: 1GiB }';
    const workload = '{ kind: write-read-verify, requests: 1, depth: 1, blockSize: 32MiB }';
    const machine = `{ use: ${fixture('tiny-machine')}, memory: 64MiB }`;
    expect(await onlyIssue({ device, workload, machine })).toMatchObject({ path: 'device.capasity' });
  });

  it('suggests the short name of a feature for the long one', async () => {
    const issue = await onlyIssue({ device: '{ type: block, offers: [VIRTIO_RING_F_EVENT_IDX] }' });
    expect(issue.suggestion).toBe('RING_EVENT_IDX');
  });

  it('reports what stands before a syntax error together with it, and nothing that may follow from it', async () => {
    const text = `${profileText({ queue: '{ size: 0 }' })}summary: "closed" open\nbogus: 1\n`;
    const issues = await issuesOf(text.replace('expect:', 'expcet: {}\nexpect:'));
    expect(issues.map(({ code, line }) => [code, line])).toEqual([
      ['ERR_PROFILE_INVALID', 6],
      ['ERR_PROFILE_INVALID', 8],
      ['ERR_PROFILE_SYNTAX', 10],
    ]);
  });

  it('reports repeated keys at the second of them', async () => {
    const queue = '{ size: 256, size: 128 }';
    expect(await onlyIssue({ queue })).toMatchObject({
      line: 6,
      column: 21,
      message: expect.stringContaining('twice'),
    });
  });

  it('does not load a plugin that the profile does not name', async () => {
    const { issues } = await checkProfile(temporaryProfile('profile: nothing\n'), SHIPPED);
    expect(issues.map(({ path }) => path)).toEqual(['platform', 'machine', 'device', 'workload']);
  });

  it('passes addresses of 64 bits to plugins, and small numbers as numbers', async () => {
    const platform = `{ use: ${fixture('tiny-platform')}, base: 0x800000000000001, window: { pages: 0x10 } }`;
    const { profiles } = await checkProfile(temporaryProfile(profileText({ platform })), SHIPPED);
    expect(profiles[0]?.platform.options).toEqual({ base: 0x800000000000001n, window: { pages: 16 } });
  });
});
