import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Setup {
  readonly platform: string;
  /** Of the platform; starts with a comma. */
  readonly options?: string;
  readonly device: string;
  readonly workload: string;
  /** Of the machine; starts with a comma. */
  readonly machine?: string;
  readonly driver?: string;
  readonly queue?: string;
}

/** Runs a profile made of these values, of one line each. */
async function run(setup: Setup): Promise<RunReport> {
  const use = (name: string): string => JSON.stringify(relative(folder, join(ROOT, 'packages', name, 'dist/index.js')));
  const lines = [
    'profile: test',
    `platform: { use: ${use(`platform-${setup.platform}`)}${setup.options ?? ''} }`,
    `machine: { use: ${use('machine-simulated')}, memory: 64MiB${setup.machine ?? ''} }`,
    `device: { ${setup.device} }`,
    `driver: { ${setup.driver ?? 'privilege: kernel'} }`,
    `queue: { ${setup.queue ?? (setup.device.includes('legacy') ? '' : 'size: 64')} }`,
    `workload: { ${setup.workload} }`,
  ];
  const file = join(folder, 'profile.yaml');
  writeFileSync(file, lines.join('\n'));
  return await runProfile(await loadProfile(file));
}

const ECHO = 'kind: echo, requests: 300, depth: 24, blockSize: 3001';
const READ = 'kind: read, requests: 300, depth: 24, blockSize: 3001';
const MODERN = 'VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, RING_INDIRECT_DESC';
const NET = 'NET_MAC, NET_STATUS, NET_MRG_RXBUF, NET_CTRL_VQ, NET_MQ';

/** Each device type with the most it can do, by what differs on the two interfaces. */
const TYPES: readonly (readonly [string, string, string])[] = [
  ['entropy', 'type: entropy, seed: 9', READ],
  ['random entropy', 'type: entropy', READ],
  ['console', 'type: console, ports: 31', ECHO],
  ['net', 'type: net, queuePairs: 15', ECHO],
];

function expectVerified(report: RunReport): void {
  expect(report).toMatchObject({ outcome: 'completed', failure: null, faults: [], differences: [] });
  expect(report.workload).toMatchObject({ requests: 300, errors: 0, verified: true });
  expect(report.dma.live).toBe(0);
  expect(report.dma.maps).toBe(report.dma.unmaps);
}

describe.each(TYPES)('a device of type %s', (name, device, workload) => {
  it.each(['little', 'big'])('works on the legacy interface of a %s-endian guest', async (guestEndian) => {
    const options = `, guestEndian: ${guestEndian}`;
    expectVerified(await run({ platform: 'legacy', options, device: `${device}, interface: legacy`, workload }));
  });

  it.each(['premapped', 'streaming'])('works with %s buffers behind a dynamic window', async (buffers) => {
    const features = name === 'net' ? `, ${NET}` : '';
    const offers = `offers: [${MODERN}${features}${name === 'console' ? ', CONSOLE_MULTIPORT' : ''}]`;
    const report = await run({
      platform: 'pseries',
      options: ', window: { kind: ddw, mapping: dynamic, pageSize: 64KiB }',
      device: `${device}, ${offers}`,
      driver: `buffers: ${buffers}`,
      workload,
    });
    expectVerified(report);
    expect(report.path).toBe('translated');
  });

  it('works from a thread of its own', async () => {
    expectVerified(await run({ platform: 'legacy', device, workload, machine: ', device: worker' }));
  });

  it('works with the smallest queues that take its buffers', async () => {
    expectVerified(await run({ platform: 'legacy', device, workload, queue: 'size: 4' }));
  });
});

describe('a network device', () => {
  it('takes whole packets where buffers cannot be merged, with headers of their own before ANY_LAYOUT', async () => {
    const device = 'type: net, interface: legacy, offers: [NET_MAC]';
    expectVerified(await run({ platform: 'legacy', options: ', guestEndian: big', device, workload: ECHO }));
  });

  it('declines several pairs of queues without a control queue', async () => {
    const device = `type: net, queuePairs: 2, offers: [VERSION_1, NET_MQ]`;
    const report = await run({ platform: 'legacy', device, workload: ECHO });
    expectVerified(report);
    expect(report.features.declined).toMatchObject([{ feature: 'NET_MQ', rule: 'dependencies-closed' }]);
  });
});

describe('a console', () => {
  it('is port 0 alone without CONSOLE_MULTIPORT', async () => {
    const device = 'type: console, ports: 4, offers: [VERSION_1, CONSOLE_SIZE]';
    expectVerified(await run({ platform: 'legacy', device, workload: ECHO }));
  });
});
