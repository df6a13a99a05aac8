import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, reportsOf, ROOT, virtioPlatform, type CommandResult } from '../command/command.ts';
import { fetchLargeNode, IS_LARGE, largeNode } from './large-node.ts';
import { LARGE_PROFILES, type LargeProfile } from './large-profiles.ts';

const TIMEOUT_MS = 600_000;
const WORKLOAD = 'workload: { kind: write-read-verify, requests: 10, depth: 1, blockSize: 4KiB }';
const NEEDS = 'needs Node 24: npm run fetch-node';
const isSkipped = IS_LARGE || (largeNode() === undefined && process.env['CI'] === undefined);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf({ name, sections }: LargeProfile): string {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, `profile: ${name}\nsummary: More than 4 GiB.\n${sections}${WORKLOAD}\n`);
  return path;
}

function expectRefusal({ status, stderr }: CommandResult): void {
  expect(stderr).toContain('ERR_MACHINE_MEMORY');
  expect(stderr).toContain('use Node 24');
  expect(stderr).toMatch(/\.yaml:\d+:\d+: machine\.memory: Node 20 has arrays of at most 4GiB/);
  expect(stderr).not.toContain('mistake in the plugin');
  expect([1, 2, 3]).toContain(status);
}

describe.skipIf(isSkipped)(`a guest of more than 4 GiB with a Node that has such arrays (${NEEDS})`, () => {
  it('C4 passes above-4gib.test.ts', { timeout: TIMEOUT_MS }, () => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const words = [vitest, 'run', '--config', 'test/vitest.config.ts', 'test/large-guests/above-4gib'];
    const { VITEST: _vitest, NODE_OPTIONS: _options, ...env } = process.env;
    const result = spawnSync(fetchLargeNode(), words, { cwd: ROOT, env, encoding: 'utf8', timeout: TIMEOUT_MS });
    expect(result.status, result.stdout + result.stderr).toBe(0);
    expect(result.stdout).toMatch(/Tests .*passed/);
    expect(result.stdout).not.toMatch(/skipped/);
  });
});

describe.skipIf(IS_LARGE)('a guest of more than 4 GiB with a Node that has no such arrays', () => {
  it('C4 is that of the embedded machine, with every platform', async () => {
    const profiles = LARGE_PROFILES.filter(({ needs }) => needs === 'nothing');
    const result = await virtioPlatform(['run', ...profiles.map((profile) => fileOf(profile)), '--json']);
    const clean = { outcome: 'completed', workload: { errors: 0, verified: true }, faults: [], differences: [] };
    expect(reportsOf(result)).toMatchObject(profiles.map(({ name }) => ({ profile: name, ...clean })));
    expect(result.status).toBe(0);
  });

  it('C4 has at most the 16 GiB of an array of words, as check says', async () => {
    const path = join(folder, 'seventeen.yaml');
    const [embedded] = LARGE_PROFILES;
    writeFileSync(
      path,
      `profile: seventeen\nsummary: Too much.\n${embedded!.sections.replace('5GiB', '17GiB')}${WORKLOAD}\n`,
    );
    const { stderr } = await commandHere(['check', path]);
    expect(stderr).toContain('ERR_MACHINE_MEMORY');
    expect(stderr).toMatch(/\.yaml:\d+:\d+: machine\.memory: .* at most 16GiB, and this memory takes 17GiB/);
  });

  it.each(LARGE_PROFILES.filter(({ needs }) => needs !== 'nothing'))(
    'C4 is refused at check, at its place, with the Node that has: $name',
    async (profile) => {
      expectRefusal(await commandHere(['check', fileOf(profile)]));
    },
  );

  it.each(['qemu-q35', 'vhost-user-physical'])('C4 leaves nothing behind: %s', async (name) => {
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    const profile = LARGE_PROFILES.find((each) => each.name === name)!;
    expectRefusal(await virtioPlatform(['run', fileOf(profile)], { TMPDIR: temporary }));
    expect(readdirSync(temporary).filter((each) => each.startsWith('virtio-platform'))).toEqual([]);
  });

  it.each([
    ['3GiB', 'q35'],
    ['4GiB', 'pc'],
  ])('C4 is refused with %s on %s, of which a part would be above 4 GiB', async (memory, board) => {
    const path = join(folder, `${board}.yaml`);
    writeFileSync(
      path,
      `profile: ${board}
platform: { use: "@virtio-platform/platform-legacy" }
machine: { use: "@virtio-platform/machine-qemu", board: ${board}, memory: ${memory} }
device: { type: block }
workload: { kind: write-read-verify, requests: 10, depth: 1, blockSize: 4KiB }
`,
    );
    const { stderr } = await commandHere(['check', path]);
    expect(stderr).toContain('ERR_MACHINE_MEMORY');
    expect(stderr).toContain('use Node 24 (any from 22 on), or set machine.memory to a multiple of 1MiB, at most 2GiB');
  });

  it('C4 has 4 GiB', async () => {
    const path = join(folder, 'four.yaml');
    writeFileSync(
      path,
      `profile: four
summary: As much as one array has.
platform: { use: "@virtio-platform/platform-pseries", window: { kind: ddw, mapping: linear } }
machine: { use: "@virtio-platform/machine-simulated", memory: 4GiB }
device: { type: block, capacity: 16MiB, offers: [VERSION_1, ACCESS_PLATFORM, RING_EVENT_IDX, BLK_SEG_MAX] }
workload: { kind: write-read-verify, requests: 200, depth: 32, blockSize: 4KiB, seed: 7 }
`,
    );
    const { status, stderr } = await virtioPlatform(['run', path]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});
