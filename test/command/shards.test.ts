import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { commandHere, commandProcess, ROOT, withoutProgress, type CommandResult } from './command.ts';

const SMALL = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}
workload: { requests: 10, depth: 4, seed: 3 }
`;
/** Runs of every outcome; the machine of the last one throws, and its platform cannot be loaded. */
const PROFILES: Readonly<Record<string, string>> = {
  'z-good.yaml': `${SMALL}profile: good\nmatrix: []\nexpect: { path: linear }\n`,
  'sizes.yaml': `${SMALL}profile: sizes\nmatrix: { queue.layout: [split, packed], queue.size: [16, 64] }\n`,
  'differs.yaml': `${SMALL}profile: differs\nmatrix: []\nexpect: { path: identity }\n`,
  'faults.yaml': `extends: ${join(ROOT, 'profiles/sev/restricted-pool.yaml')}\nmatrix: []\nprofile: faults\nworkload: { requests: 20, depth: 4 }\n`,
  'recorded.yaml': `extends: ${join(ROOT, 'profiles/amd-iommu.yaml')}
profile: recorded
matrix: []
workload: { requests: 20, depth: 4 }
machine: { onFault: zeros, rogue: [{ after: 5, access: read, address: 0x7000, length: 64 }] }
expect: { path: translated, faults: 1 }\n`,
  'refused.yaml': `extends: ${join(ROOT, 'profiles/refused/sev-legacy-device.yaml')}\nprofile: refused\n`,
  'throws.yaml': `${SMALL}profile: throws\nmatrix: []\nmachine: { use: ./throws.mjs, memory: 16MiB }\n`,
  'unloadable.yaml': `${SMALL}profile: unloadable\nmatrix: { queue.size: [16, 64] }\nmachine: { use: ./unloadable.mjs, memory: 16MiB }\n`,
};
const MODULES: Readonly<Record<string, string>> = {
  'throws.mjs': `
import simulated from '@virtio-platform/machine-simulated';
import { MACHINE } from '@virtio-platform/core';
const boot = async () => { throw new RangeError('boot says no'); };
export default { ...simulated, name: 'throws', register(container) {
  container.register(MACHINE, { useFactory: () => ({ name: 'throws', boot }) });
} };
`,
  'unloadable.mjs': `throw new RangeError('loading says no');\n`,
};
const FILES = Object.keys(PROFILES);
const REPORTERS = ['list', 'table', 'json', 'ndjson', 'junit', 'tap', 'sarif', 'github'] as const;
const COUNT = 4;

/** How long processes may take to begin and to end on a slow machine. */
const WAIT = { timeout: 30_000, interval: 50 };

let folder: string;
let whole: CommandResult;
let merged: CommandResult;
const shards: CommandResult[] = [];

const fileOf = (...names: string[]): string => readFileSync(join(folder, ...names), 'utf8');
const outputs = (into: string): string[] => REPORTERS.flatMap((name) => ['--reporter', `${name}=${into}/${name}`]);
const blobs = (numbers = [1, 2, 3, 4]): string[] => numbers.map((number) => `shards/${number}.blob`);
const merge = (files: readonly string[], ...words: string[]): Promise<CommandResult> =>
  commandHere(['run', '--merge', ...files, ...words], folder);
const makeShard = (
  number: number,
  into: string,
  files: readonly string[],
  ...words: string[]
): Promise<CommandResult> =>
  commandHere(['run', ...files, '--shard', `${number}/${COUNT}`, '--reporter', `blob=${into}`, ...words], folder);

beforeAll(async () => {
  // Plugins find packages from here.
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
  for (const [name, text] of Object.entries({ ...PROFILES, ...MODULES })) writeFileSync(join(folder, name), text);
  whole = await commandHere(['run', ...FILES, ...outputs('whole'), '--reporter', 'blob=whole/blob'], folder);
  for (let number = 1; number <= COUNT; number++) {
    const files = number % 2 === 0 ? FILES.toReversed() : FILES;
    shards.push(await makeShard(number, `shards/${number}.blob`, files));
  }
  merged = await merge(blobs([3, 1, 4, 2]), ...outputs('merged'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Processor time of a process in the program itself, in hundredths of a second. */
function ticksOf(pid: string): number {
  return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[11]);
}

/**
 * What differs from run to run: times, the numbers of events, between which those that took long are noted, and the
 * command's own folder of reports.
 */
function withoutTimes(text: string): string {
  return withoutProgress(text)
    .replaceAll(/\d+(?:\.\d+)? m?s\b/g, 'T')
    .replaceAll(/ {2,}T/g, ' T')
    .replaceAll(/ +$/gm, '')
    .replaceAll(/("?duration_?[mM]s"?: ?)[\d.]+/g, '$1 0')
    .replaceAll(/("(?:time|p\d+|max|index)": ?)[\d.]+/g, '$1 0')
    .replaceAll(/(time|timestamp)="[^"]*"/g, '$1=""')
    .replaceAll(/(name="startedAt" value)="[^"]*"/g, '$1=""')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'DATE');
}

/** A blob made of the second shard's. */
const changed = (change: (text: string) => string): string => {
  writeFileSync(join(folder, 'changed.blob'), change(fileOf('shards/2.blob')));
  return 'changed.blob';
};
const lines = (change: (lines: string[]) => string[]) => (text: string) =>
  change(text.trimEnd().split('\n')).join('\n') + '\n';
const replaced = (from: string | RegExp, to: string) => (text: string) => {
  expect(text).toMatch(from);
  return text.replace(from, to);
};

describe('run --shard', () => {
  it('makes each run in one of the shards, also where they are given the profiles in another order', () => {
    const lines = shards.flatMap((_, i) =>
      fileOf(`shards/${i + 1}.blob`)
        .trimEnd()
        .split('\n')
        .slice(1, -1),
    );
    const made = lines.map((line) => (JSON.parse(line) as { report: RunReport }).report.profile);
    const all = (JSON.parse(fileOf('whole/json')) as RunReport[]).map(({ profile }) => profile);
    expect(made.toSorted()).toEqual(all.toSorted());
    expect(all).toHaveLength(12);
  });

  it('exits with the status of its own runs, and tells of the errors of its own', () => {
    const told = shards.filter(({ stderr }) => stderr.includes('loading says no'));
    expect(told.length).toBeGreaterThan(0);
    expect(told.length).toBeLessThan(COUNT);
    for (const { status } of told) expect(status).toBe(2);
    expect(shards.some(({ status }) => status !== 2)).toBe(true);
  });

  it('makes no run in a shard for which none is left, and that is as expected', async () => {
    const { status } = await makeShard(3, 'none/3.blob', ['z-good.yaml', 'differs.yaml']);
    expect(status).toBe(0);
    expect(fileOf('none/3.blob').trimEnd().split('\n')).toHaveLength(2);
  });

  it.each(['0/4', '5/4', '1', '1/0', 'a/b'])('refuses %s', async (part) => {
    const { status, stderr } = await commandHere(['run', 'z-good.yaml', '--shard', part], folder);
    expect([status, stderr]).toEqual([2, expect.stringContaining('A part like 1/3')]);
  });
});

describe('run --merge', () => {
  it('exits as one run of all, with the same errors', () => {
    expect([merged.status, merged.stderr]).toEqual([whole.status, whole.stderr]);
    expect(whole.status).toBe(2);
    expect(withoutTimes(merged.stdout)).toBe(withoutTimes(whole.stdout));
  });

  it.each(REPORTERS)('prints by the reporter %s what one run of all prints', (name) => {
    expect(withoutTimes(fileOf('merged', name))).toBe(withoutTimes(fileOf('whole', name)));
  });

  it('keeps every byte of the reports', async () => {
    await merge(['whole/blob'], ...outputs('again'));
    for (const name of ['json', 'ndjson', 'tap', 'github']) expect(fileOf('again', name)).toBe(fileOf('whole', name));
  });

  it('shows seeds and options as the runs were asked for', async () => {
    const words = ['--seed', '9', '--set', 'queue.size=32', '--repeat', '2'];
    for (let number = 1; number <= COUNT; number++)
      await makeShard(number, `seeds/${number}.blob`, ['differs.yaml'], ...words);
    const { stdout } = await merge([1, 2, 3, 4].map((number) => `seeds/${number}.blob`));
    const one = await commandHere(['run', 'differs.yaml', ...words], folder);
    expect(withoutTimes(stdout)).toBe(withoutTimes(one.stdout));
    expect(stdout).toContain('again virtio-platform run differs.yaml --seed 10 --set queue.size=32');
  });

  it('says which runs were not made', async () => {
    const words = ['differs.yaml', '--repeat', '8', '--bail'];
    for (let number = 1; number <= COUNT; number++) await makeShard(number, `bail/${number}.blob`, words);
    const { status, stdout } = await merge([1, 2, 3, 4].map((number) => `bail/${number}.blob`));
    expect(status).toBe(1);
    expect(stdout).toContain('stopped after the first run that is not as expected (--bail): 4 runs were not made');
  });
});

describe('run --jobs', () => {
  it('prints by each reporter what one process prints, in the same order', async () => {
    const shared = await commandHere(['run', ...FILES, '--jobs', '3', ...outputs('jobs')], folder);
    // What a process of its own writes of a path is seen from its folder, which is not that of this test.
    const plain = (text: string): string => withoutTimes(text).replaceAll(`${relative(ROOT, folder)}/`, '');
    expect([shared.status, plain(shared.stderr)]).toEqual([whole.status, plain(whole.stderr)]);
    expect(plain(shared.stdout)).toBe(plain(whole.stdout));
    for (const name of REPORTERS) expect(plain(fileOf('jobs', name))).toBe(plain(fileOf('whole', name)));
  });

  it('shares the runs of a shard, and gives the processes the options that choose runs', async () => {
    const words = ['differs.yaml', 'sizes.yaml', '--seed', '9', '--set', 'queue.size=32', '--repeat', '2'];
    const chosen = [...words, '--filter', 'differs', '--filter', 'packed', '--sanitize', '--shard', '2/2'];
    const [one, shared] = await Promise.all(
      [[], ['-j', '2']].map((jobs) => commandHere(['run', ...chosen, ...jobs], folder)),
    );
    expect([shared!.status, shared!.stderr]).toEqual([one!.status, one!.stderr]);
    expect(withoutTimes(shared!.stdout)).toBe(withoutTimes(one!.stdout));
    expect(one!.stdout).toContain('#2');
  });

  it('makes no more runs after those that --bail waits for', async () => {
    const words = ['differs.yaml', '--repeat', '6', '--bail', '2'];
    const [one, shared] = await Promise.all(
      [[], ['-j', '2']].map((jobs) => commandHere(['run', ...words, ...jobs], folder)),
    );
    expect(withoutTimes(shared!.stdout)).toBe(withoutTimes(one!.stdout));
    expect(shared!.status).toBe(1);
  });

  it('says that a process was lost, tells of the runs of the others, and is not as expected', async () => {
    writeFileSync(
      join(folder, 'kills.mjs'),
      MODULES['throws.mjs']!.replace(/throw [^;]*;/, "process.kill(process.pid, 'SIGKILL');"),
    );
    writeFileSync(join(folder, 'kills.yaml'), PROFILES['throws.yaml']!.replaceAll('throws', 'kills'));
    const { status, stdout, stderr } = await commandHere(['run', 'kills.yaml', 'z-good.yaml', '-j', '2'], folder);
    expect(status).toBe(1);
    expect(stderr).toContain('a process of --jobs was lost: it ended with SIGKILL');
    expect(stderr).toContain('[ERR_RUN_PROCESS]');
    expect(stdout).toMatch(/^ok .* good /m);
    expect(stdout).toContain('a process of --jobs was lost: one run was not made');
  });

  it('ends its processes with itself, also where it is killed', async () => {
    const long = join(folder, 'long.yaml');
    writeFileSync(
      long,
      `${SMALL.replace('requests: 10', 'requests: 400000000')}profile: long\nmatrix: { queue.size: [16, 64] }\n`,
    );
    const { process: parent, finished } = commandProcess(['run', long, '-j', '2']);
    const childrenOf = `/proc/${parent.pid}/task/${parent.pid}/children`;
    let children: readonly string[] = [];
    await vi.waitFor(() => {
      children = readFileSync(childrenOf, 'utf8').trim().split(' ');
      expect(children).toHaveLength(2);
    }, WAIT);
    // The start of the command takes a third of this.
    await vi.waitFor(() => expect(children.filter((pid) => ticksOf(pid) < 80)).toEqual([]), WAIT);
    parent.kill('SIGKILL');
    await finished;
    await vi.waitFor(() => expect(children.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]), WAIT);
  });

  it.each([
    [['-j', '2', '--trace', 'x'], "cannot be used with option '--trace <file>'"],
    [['-j', '2', '-'], '--jobs has no standard input'],
    [['-j', '0'], 'A whole number from 1 to 64'],
  ])('refuses %j', async (words, message) => {
    const { status, stderr } = await commandHere(['run', 'z-good.yaml', ...words], folder);
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe('run --merge refuses', () => {
  it.each([
    ['a file that is not there', () => 'gone.blob', /gone\.blob cannot be read: ENOENT/],
    ['a folder', () => 'shards', /shards cannot be read: EISDIR/],
    ['an empty file', () => changed(() => ''), /changed\.blob ends early: it is empty/],
    ['a file that is cut off', () => changed((text) => text.slice(0, -7)), /ends early: line \d+ is cut off/],
    ['one without its end', () => changed(lines((all) => all.slice(0, -1))), /ends early: its last line is missing/],
    ['one without a run', () => changed(lines((all) => all.toSpliced(1, 1))), /ends early: the run .* is missing/],
    ['what comes after the end', () => changed((text) => text + text), /changed\.blob:\d+: comes after the end/],
    ['text', () => changed(() => 'not a blob\n'), /changed\.blob:1: is no JSON/],
    ['another JSON', () => 'whole/json', /whole\/json:1: is no JSON/],
    ['reports', () => 'whole/ndjson', /whole\/ndjson:1: is no line of a blob: /],
    ['a number', () => changed(() => '7\n'), /changed\.blob:1: is no object/],
    [
      'another version',
      () => changed(replaced(/"toolVersion":"/, '"toolVersion":"9')),
      /by virtio-platform 9.*, and this/,
    ],
    [
      'another shard’s run',
      () => changed(replaced(/"number":2/, '"number":3')),
      /:2: has a run that is not of this shard/,
    ],
    [
      'a wrong report',
      () => changed(replaced(/"outcome":"\w+"/, '"outcome":7')),
      /:2: is no line of a blob: report: outcome/,
    ],
    [
      'a report of another run',
      () => changed(replaced(/"profile":"/, '"profile":"x')),
      /:2: has the report of another run/,
    ],
  ])('%s', async (_, file, message) => {
    const { status, stdout, stderr } = await merge(['shards/1.blob', file(), 'shards/3.blob', 'shards/4.blob']);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/\[ERR_RUN_BLOB\]\n {2}\S/);
  });

  it.each([
    ['a missing shard', [1, 2, 4], 'the shard 3/4 is missing', '--shard 3/4 --reporter blob=FILE'],
    ['missing shards', [2], 'shards are missing: 1/4, 3/4, 4/4', '--shard 1/4'],
    ['one shard twice', [1, 2, 3, 3], 'shards/3.blob is there twice: 3/4', 'each shard once'],
  ])('%s', async (_, numbers, message, hint) => {
    const { status, stdout, stderr } = await merge(blobs(numbers));
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`${message} [ERR_RUN_MERGE]`);
    expect(stderr).toContain(hint);
  });

  it.each([
    ['another count', ['--shard', '2/3'], 'is shard 1/4 and other.blob is shard 2/3'],
    ['another seed', ['--seed', '5'], /has seed 3 in shards\/1\.blob and 5 in other\.blob/],
    ['other runs', ['--filter', 'sizes'], /only shards\/1\.blob has the run differs \(differs\.yaml\)/],
    ['another value', ['--set', 'queue.size=32'], /: (?:only|the run) /],
    ['the sanitizer', ['--sanitize'], 'one of them was made with --sanitize'],
  ])('shards of %s', async (_, words, message) => {
    await makeShard(2, 'other.blob', FILES, ...words);
    const { status, stderr } = await merge(['other.blob', ...blobs([1, 3, 4])]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).toContain('[ERR_RUN_MERGE]');
  });

  it('a shard of a profile that was changed meanwhile', async () => {
    const text = PROFILES['differs.yaml']!;
    writeFileSync(join(folder, 'differs.yaml'), text.replace('depth: 4', 'depth: 2'));
    await makeShard(2, 'other.blob', FILES);
    writeFileSync(join(folder, 'differs.yaml'), text);
    const { status, stderr } = await merge(['other.blob', ...blobs([1, 3, 4])]);
    expect(status).toBe(2);
    expect(stderr).toContain('the run differs (differs.yaml) is another one: its profile differs');
  });

  it.each([
    [['z-good.yaml', '--merge', 'shards/1.blob'], '--merge takes what --reporter blob wrote, and no profiles'],
    [['--seed', '1', '--merge', 'shards/1.blob'], "'--merge <file...>' cannot be used with option '--seed <n>'"],
    [['--report', 'x.html', '--merge', 'shards/1.blob'], "cannot be used with option '--report <file>'"],
  ])('%j', async (words, message) => {
    const { status, stderr } = await commandHere(['run', ...words], folder);
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});
