import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkProfile, loadProfile, loadProfiles } from '../src/load-profile.ts';
import type { Profile } from '../src/schema/profile.ts';
import { ProfileError } from '../src/source/profile-issue.ts';
import { caught } from './support/caught.ts';
import { profileText, type ProfileLines } from './support/profile-text.ts';
import { fixture, temporaryFolder, temporaryProfile } from './support/temporary-folder.ts';
/** A profile whose `matrix:` is in line 9, and what is in it from line 10 on. */
function matrixText(matrix: string, lines: ProfileLines = {}): string {
  return `${profileText(lines)}matrix:\n${matrix}\n`;
}

async function runsOf(matrix: string, lines: ProfileLines = {}): Promise<readonly Profile[]> {
  return await loadProfiles(temporaryProfile(matrixText(matrix, lines)));
}

/** The issues of a profile, each as `line:column path: message`. */
async function issuesOf(matrix: string, lines: ProfileLines = {}): Promise<string[]> {
  const { issues } = await checkProfile(temporaryProfile(matrixText(matrix, lines)));
  return issues.map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
}

/** The numbers from 1 to `count`, as a list has them. */
function numbers(count: number): string {
  return Array.from({ length: count }, (_, i) => i + 1).join(', ');
}

describe('a matrix of paths', () => {
  it('makes a run of every combination, the first path varying slowest', async () => {
    const runs = await runsOf('  queue.layout: [split, packed]\n  queue.size: [64, 128]');
    expect(runs.map(({ name, queue }) => [name, queue.layout, queue.size])).toEqual([
      ['test [queue.layout=split, queue.size=64]', 'split', 64],
      ['test [queue.layout=split, queue.size=128]', 'split', 128],
      ['test [queue.layout=packed, queue.size=64]', 'packed', 64],
      ['test [queue.layout=packed, queue.size=128]', 'packed', 128],
    ]);
  });

  it('replaces lists, and numbers what cannot be told apart by one value', async () => {
    const offers = '  device.offers:\n    - [VERSION_1]\n    - [VERSION_1, RING_EVENT_IDX]';
    const runs = await runsOf(offers, { device: '{ type: block, offers: [ANY_LAYOUT] }' });
    expect(runs.map(({ name, device }) => [name, device.offers?.names(BLOCK_FEATURES)])).toEqual([
      ['test [device.offers#1]', ['VERSION_1']],
      ['test [device.offers#2]', ['RING_EVENT_IDX', 'VERSION_1']],
    ]);
  });

  it('merges maps, and adds sections that the profile lacks', async () => {
    const lines = { platform: `{ use: ${fixture('tiny-platform')}, mode: fancy }` };
    const text = matrixText('  platform.window: [{ pages: 4 }]\n  driver.timeout: [7s]', lines);
    const [run] = await loadProfiles(temporaryProfile(text.replace('driver: { privilege: kernel }\n', '')));
    expect(run!.platform.options).toEqual({ mode: 'fancy', window: { pages: 4 } });
    expect(run!.driver.timeoutMs).toBe(7000);
  });

  it('varies whole sections, also together with one of their values', async () => {
    const runs = await runsOf('  queue: [{ size: 64 }, { size: 32 }]\n  queue.layout: [packed]');
    expect(runs.map(({ name, queue }) => [name, queue])).toEqual([
      ['test [queue.size=64]', { layout: 'packed', size: 64 }],
      ['test [queue.size=32]', { layout: 'packed', size: 32 }],
    ]);
  });

  it('leaves the options of one plugin out of the section of another', async () => {
    const lines = { platform: `{ use: ${fixture('tiny-platform')}, mode: fancy }` };
    const platforms = [fixture('tiny-platform'), fixture('real-only-platform')];
    const runs = await runsOf(`  platform.base: [1]\n  platform.use: [${platforms.join(', ')}]`, lines);
    expect(runs.map(({ platform }) => platform)).toMatchObject([
      { use: platforms[0], options: { mode: 'fancy', base: 1 } },
      { use: platforms[1], options: { base: 1 } },
    ]);
    expect(runs[1]!.platform.options).not.toHaveProperty('mode');
    expect(runs[1]!.platform.location).toMatchObject({ line: 11 });
  });

  it.each([
    ['  queue.layout: [split, pakced]', '10:25 queue.layout: must be one of split, packed, not `pakced`'],
    ['  queue.layut: [split, packed]', '10:3 queue.layut: unknown key `layut`'],
    [
      '  quue.layout: [split]',
      '10:3 matrix.quue.layout: must be the path of a value in a section, such as queue.layout',
    ],
    ['  profile: [a, b]', '10:3 matrix.profile: must be the path of a value in a section, such as queue.layout'],
    ['  queue..layout: [split]', '10:3 matrix.queue..layout: must be the path of a value, such as queue.layout'],
    ['  queue.layout: split', '10:17 matrix.queue.layout: must be a list of at least one value'],
    ['  queue.layout: []', '10:17 matrix.queue.layout: must be a list of at least one value'],
    ['  both', '10:3 matrix: must be a map of paths to lists of values, or a list of partial profiles'],
    ['', '9:1 matrix: must be a map of paths to lists of values, or a list of partial profiles'],
    ['  device.offers: [[VERSION_1], [VERSON_1]]', '10:33 device.offers.0: must be a feature, not `VERSON_1`'],
    ['  platform.window: [{ pages: 1 }, { pages: 0 }]', '10:44 platform.window.pages: must be at least 1, not `0`'],
    ['  platform.mode.deep: [1]', '10:3 platform.mode: must be one of plain, fancy'],
  ])('says what is wrong with %j, where it stands', async (matrix, issue) => {
    expect(await issuesOf(matrix)).toEqual([issue]);
  });

  it('suggests the path that was meant', async () => {
    const { issues } = await checkProfile(temporaryProfile(matrixText('  quue.size: [64]\n  queue.layut: [split]')));
    expect(issues.map(({ suggestion }) => suggestion)).toEqual(['queue.size', 'layout']);
  });

  it('reports a mistake of the profile once, and everything else with it', async () => {
    const lines = { workload: '{ kind: write-read-verify, requests: 20, depth: 4, blockSize: 4KB }' };
    expect(await issuesOf('  queue.size: [64, 0, 3]\n  queue.layout: [split, packed]', lines)).toEqual([
      expect.stringMatching(/^7:\d+ workload.blockSize: /),
      '10:20 queue.size: must be at least 1, not `0`',
      '10:23 queue.size: must be a power of two on the split layout, not `3` (in test [queue.size=3, queue.layout=split])',
    ]);
  });

  it('names a run that is contradictory where others are not', async () => {
    const lines = { expect: '{ path: physical }' };
    expect(await issuesOf('  expect.accepted: [[VERSION_1], [ACCESS_PLATFORM]]', lines)).toEqual([
      '8:17 expect.path: physical is the path without ACCESS_PLATFORM, and expect.accepted has it (in test [expect.accepted#2])',
    ]);
  });

  it.each([
    [
      'a workload',
      { workload: '{ kind: mixed, requests: 20, depth: 4, blockSize: 4KiB, reads: 0.5 }' },
      '  workload.kind: [mixed, write-read-verify]',
      '7:67 workload.reads: write-read-verify has no reads (in test [workload.kind=write-read-verify])',
    ],
    [
      'a device',
      { device: '{ type: block, capacity: 1MiB }', workload: '{ requests: 20, depth: 4, blockSize: 4KiB }' },
      '  - { device: { type: block }, workload: { kind: write-read-verify } }\n' +
        '  - { profile: second, device: { type: entropy }, workload: { kind: read } }',
      '4:24 device.capacity: unknown key `capacity` (in second)',
    ],
  ])('names the run in which a key of %s is wrong that is right in others', async (_what, lines, matrix, issue) => {
    expect(await issuesOf(matrix, lines)).toEqual([issue]);
  });

  it('names no run where the wrong key stands in the matrix itself', async () => {
    expect(await issuesOf('  - {}\n  - { workload: { sede: 3 }, platform: { mod: plain } }')).toEqual([
      '11:19 workload.sede: unknown key `sede`',
      '11:42 platform.mod: unknown key `mod`',
    ]);
  });

  it('makes at most 256 runs, and says how many they would be', async () => {
    const depths = `  workload.depth: [${numbers(16)}]`;
    expect(await runsOf(`  workload.seed: [${numbers(16)}]\n${depths}`)).toHaveLength(256);
    expect(await issuesOf(`  workload.seed: [${numbers(17)}]\n${depths}`)).toEqual([
      '9:1 matrix: makes 272 runs of this profile, more than 256',
    ]);
  });

  it('takes no path so long that merging it would end the process', async () => {
    expect(await issuesOf(`  ? queue${'.a'.repeat(100_000)}\n  : [1]`)).toEqual([
      expect.stringContaining('must be the path of a value, such as queue.layout'),
    ]);
  });
});

describe('a matrix of partial profiles', () => {
  it('lays each over the profile, with an expectation of its own', async () => {
    const matrix = `  - queue: { layout: split }
  - queue: { layout: packed, size: 100 }
    expect: { accepted: [VERSION_1] }`;
    const runs = await runsOf(matrix, { expect: '{ faults: 0 }' });
    expect(runs.map(({ name, queue, expect: expected }) => [name, queue, expected])).toEqual([
      ['test [queue.layout=split]', { layout: 'split', size: 256 }, { faults: 0 }],
      [
        'test [queue.layout=packed, queue.size=100]',
        { layout: 'packed', size: 100 },
        { faults: 0, accepted: ['VERSION_1'] },
      ],
    ]);
  });

  it('names runs by what they say of themselves, or by their number', async () => {
    const matrix = `  - {}
  - { profile: mine, summary: What is mine., queue: { size: 8 } }
  - { workload: { seed: 1 } }
  - { workload: { seed: 1 }, expect: { faults: 0 } }
  - { device: { offers: [] } }
  - { device: { serial: 12345678901234567890 }, workload: { requests: 1000, depth: 10, seed: 4 } }`;
    const runs = await runsOf(matrix.replace('12345678901234567890', '"12345678901234567890"'));
    expect(runs.map(({ name }) => name)).toEqual([
      'test [#1]',
      'mine',
      'test [#3]',
      'test [#4]',
      'test [#5]',
      'test [#6]',
    ]);
    expect(runs.map(({ summary }) => summary)).toEqual(['', 'What is mine.', '', '', '', '']);
  });

  it('reports mistakes where they stand', async () => {
    const matrix = `  - queue: { layut: split }
  - packed
  - { extends: other.yaml, matrix: [] }
  - quue: {}`;
    expect(await issuesOf(matrix)).toEqual([
      '10:14 queue.layut: unknown key `layut`',
      '11:5 matrix.1: must be a map: a part of a profile',
      '12:7 matrix.2.extends: `extends` cannot be part of a matrix',
      '12:28 matrix.2.matrix: `matrix` cannot be part of a matrix',
      '13:5 quue: unknown key `quue`',
    ]);
  });

  it('completes a profile that by itself lacks something, and misses what a run lacks', async () => {
    const device = '{ readOnly: true }';
    expect(await runsOf('  - device: { type: block }', { device })).toHaveLength(1);
    expect(await issuesOf('  - device: { type: block }\n  - queue: { size: 64 }', { device })).toEqual([
      '4:1 device.type: `type` is missing',
    ]);
  });
});

describe('extends', () => {
  const base = matrixText('  queue.layout: [split, packed]');

  async function namesOf(child: string): Promise<string[]> {
    const folder = temporaryFolder({ 'child.yaml': `extends: base.yaml\nprofile: child\n${child}`, 'base.yaml': base });
    return (await loadProfiles(join(folder, 'child.yaml'))).map(({ name }) => name);
  }

  it('inherits a matrix, which has the last word', async () => {
    const names = await namesOf('queue: { layout: split, size: 64 }\n');
    expect(names).toEqual(['child [queue.layout=split]', 'child [queue.layout=packed]']);
  });

  it('replaces a matrix by another', async () => {
    expect(await namesOf('matrix: { queue.size: [8, 16] }\n')).toEqual([
      'child [queue.size=8]',
      'child [queue.size=16]',
    ]);
  });

  it.each(['{}', '[]'])('turns a matrix off with %s', async (nothing) => {
    expect(await namesOf(`matrix: ${nothing}\n`)).toEqual(['child']);
  });

  it('knows in which file a value of the matrix stands', async () => {
    const files = {
      'child.yaml': 'extends: base.yaml\nqueue: { size: 64 }\n',
      'base.yaml': base.replace('packed', 'pack'),
    };
    const folder = temporaryFolder(files);
    const { issues } = await checkProfile(join(folder, 'child.yaml'));
    expect(issues.map(({ file, line, path }) => [file, line, path])).toEqual([
      [join(folder, 'base.yaml'), 10, 'queue.layout'],
    ]);
  });
});

describe('loadProfile', () => {
  it('takes a matrix of one run', async () => {
    const profile = await loadProfile(temporaryProfile(matrixText('  queue.size: [64]')));
    expect(profile).toMatchObject({ name: 'test', queue: { size: 64 } });
  });

  it('refuses a profile of several runs, and says how to load it', async () => {
    const file = temporaryProfile(matrixText('  queue.size: [64, 128]'));
    const error = await caught(loadProfile(file), ProfileError);
    expect(error).toMatchObject({ code: 'ERR_PROFILE_MATRIX', location: { file, line: 9, column: 1 } });
    expect(error.message).toContain('makes 2 runs of this profile');
    expect(error.hint).toContain('loadProfiles');
  });
});
