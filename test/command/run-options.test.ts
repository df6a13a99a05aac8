import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommandLine } from '@virtio-platform/cli';
import type { RunReport } from '@virtio-platform/runner';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { commandHere, reportsOf, ROOT, withoutProgress } from './command.ts';

const SMALL = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}
workload: { requests: 10, depth: 4, seed: 3 }
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  writeFileSync(join(folder, 'good.yaml'), `${SMALL}profile: good\nmatrix: { queue.layout: [split, packed] }\n`);
  writeFileSync(join(folder, 'wrong.yaml'), `${SMALL}profile: wrong\nmatrix: []\nexpect: { path: identity }\n`);
  writeFileSync(
    join(folder, 'refused-access.yaml'),
    `${SMALL}profile: access\nmatrix: []\ndriver: { buffers: streaming }\nfailures: { wrongAddress: { nth: [8] } }\n`,
  );
  writeFileSync(
    join(folder, 'refused.yaml'),
    `extends: ${join(ROOT, 'profiles/refused/vfio-noiommu-is-unsafe.yaml')}\n`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.unstubAllEnvs();
});

async function reportsHere(...words: readonly string[]): Promise<RunReport[]> {
  return reportsOf(await commandHere(['run', ...words, '--json'], folder));
}

/** Whether the line is a command, or a path, which are in one line so that they can be copied. */
function isCopied(line: string): boolean {
  return line.startsWith('  again ') || /^ +\(\/\S+\)$/.test(line);
}

/** A standard input with this text. */
function input(text: string): AsyncIterable<Uint8Array> {
  return ReadableStream.from([Buffer.from(text)]);
}

/** The output on a terminal of so many columns. */
async function onTerminal(columns: number, ...words: readonly string[]): Promise<string> {
  let text = '';
  const write = (part: string): boolean => {
    text += part;
    return true;
  };
  const stdout = { columns, isTTY: true, write };
  await runCommandLine(['run', ...words], { stdout, stderr: { isTTY: true, write }, cwd: folder });
  return text;
}

describe('run --filter', () => {
  it.each([
    [['packed'], ['good [queue.layout=packed]']],
    [['GOOD*SPLIT'], ['good [queue.layout=split]']],
    [['/^g.*=s/'], ['good [queue.layout=split]']],
    [
      ['[queue.layout=packed]', 'wrong'],
      ['good [queue.layout=packed]', 'wrong'],
    ],
  ])('makes the runs with %j in their names', async (patterns, names) => {
    const words = patterns.flatMap((pattern) => ['--filter', pattern]);
    const reports = await reportsHere('good.yaml', 'wrong.yaml', ...words);
    expect(reports.map(({ profile }) => profile)).toEqual(names);
  });

  it('is wrong where it leaves none, and names those that there are', async () => {
    const { status, stdout, stderr } = await commandHere(['run', 'good.yaml', '--filter', 'goood'], folder);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('good [queue.layout=split], good [queue.layout=packed] [ERR_RUN_FILTER]');
  });
});

describe('run --seed and --repeat', () => {
  it('make the same requests again by the seed that the report has', async () => {
    const [given] = await reportsHere('good.yaml', '--filter', 'split');
    expect(given!.seed).toBe(3);
    const repeated = await reportsHere('good.yaml', '--filter', 'split', '--repeat', '3', '--seed', '4294967294');
    expect(repeated.map(({ profile, seed }) => [profile, seed])).toEqual([
      ['good [queue.layout=split] #1', 4_294_967_294],
      ['good [queue.layout=split] #2', 4_294_967_295],
      ['good [queue.layout=split] #3', 0],
    ]);
    const [again] = await reportsHere('good.yaml', '--filter', 'split', '--seed', '4294967295');
    const { workload, dma } = repeated[1]!;
    expect([again!.workload, again!.dma]).toEqual([workload, dma]);
  });

  it('show people each seed', async () => {
    const { stdout } = await commandHere(['run', 'good.yaml', '--seed', '9', '--repeat', '2'], folder);
    expect(stdout.match(/ {2}seed (?:9|10), linear/g)).toHaveLength(4);
  });
});

describe('run --bail', () => {
  it.each([
    [['--bail'], 1],
    [['--bail', '2'], 2],
    [['--bail=3'], 3],
  ])('%j makes no run after so many that are not as expected', async (words, count) => {
    const output = join(folder, 'out.tap');
    const { status, stdout } = await commandHere(
      [
        'run',
        ...words,
        'wrong.yaml',
        'wrong.yaml',
        'wrong.yaml',
        'good.yaml',
        '--reporter',
        `tap=${output}`,
        '--reporter',
        'list',
      ],
      folder,
    );
    expect(status).toBe(1);
    expect(stdout.match(/^FAIL /gm)).toHaveLength(count);
    expect(stdout).toMatch(/^stopped after .* \(--bail\): \d runs were not made$/m);
    expect(stdout).toContain(`0 of ${count} runs as expected`);
  });

  it('says of the others that they are skipped', async () => {
    const { stdout } = await commandHere(['run', '--bail', 'wrong.yaml', 'good.yaml', '--reporter', 'tap'], folder);
    expect(stdout).toMatch(/^ok 3 - good \[queue\.layout=packed\] # SKIP stopped after .*\n1\.\.3$/m);
    const junit = (await commandHere(['run', '--bail', 'wrong.yaml', 'good.yaml', '--reporter', 'junit'], folder))
      .stdout;
    expect(junit).toMatch(/<testsuites name="virtio-platform" tests="3" failures="1" errors="0" skipped="2"/);
    expect(junit.match(/<skipped message="stopped after /g)).toHaveLength(2);
  });
});

describe('run --set', () => {
  it('have a command that makes the one run again, also where a filter left the others out', async () => {
    writeFileSync(join(folder, 'both.yaml'), `extends: ./good.yaml\nprofile: both\nexpect: { path: identity }\n`);
    const { stdout } = await commandHere(['run', 'both.yaml', '--filter', 'split'], folder);
    expect(stdout).toContain("\n  again virtio-platform run both.yaml --filter 'both [queue.layout=split]' --seed 3\n");
  });

  it.each([
    [['--trace', 'same', '--report', './same'], '--trace and --report both write to ./same'],
    [['--reporter', 'json=same', '--report', 'same'], '--reporter json and --report both write to same'],
  ])('are refused where two of them write the same file: %s', async (words, message) => {
    const { status, stderr } = await commandHere(['run', 'good.yaml', ...words], folder);
    expect([status, stderr]).toEqual([2, expect.stringContaining(`${message}: give each a file of its own`)]);
  });

  it('lays a value over each profile, and the command that makes a run again has it', async () => {
    const reports = await reportsHere('good.yaml', '--set', 'queue.size=64', '--set', 'queue.layout=packed');
    expect(reports.map(({ profile, queue }) => [profile, queue])).toEqual([['good', { layout: 'packed', size: 64 }]]);
    const { stdout } = await commandHere(['run', 'wrong.yaml', '--set', 'queue.size=64'], folder);
    expect(stdout).toContain('\n  again virtio-platform run wrong.yaml --seed 3 --set queue.size=64\n');
  });

  it('is wrong as the profile would be', async () => {
    const { status, stderr } = await commandHere(['run', 'good.yaml', '--set', 'queue.sise=64'], folder);
    expect(status).toBe(2);
    expect(stderr).toMatch(/--set:1:1: queue\.sise: .*did you mean `size`\?/);
  });
});

describe('run --quiet and --verbose', () => {
  it('show only what is not as expected, or all that is known', async () => {
    const { stdout } = await commandHere(['run', 'good.yaml', 'wrong.yaml', '--quiet'], folder);
    expect(withoutProgress(stdout)).toMatch(
      /^FAIL .*\n\nwrong\n {2}differs .*\n {2}again .*\n\n2 of 3 runs as expected, .*\n$/,
    );
    const quiet = await commandHere(['run', 'good.yaml', '--quiet'], folder);
    expect(withoutProgress(quiet.stdout)).toMatch(/^\n?2 of 2 runs as expected, .*\n$/);
    const verbose = await commandHere(['run', 'good.yaml', '--verbose'], folder);
    for (const text of ['profile   good.yaml, seed 3, began ', 'accepted  ', 'queue     packed, 256 entries'])
      expect(verbose.stdout).toContain(`      ${text}`);
    expect(verbose.stdout).toMatch(/^ {6}latency {3}half [\d.,]+ µs, 99% [\d.,]+, 99.9% [\d.,]+, longest [\d.,]+$/m);
  });
});

describe('the profiles of run', () => {
  it('are shipped ones by name, or a folder of them', async () => {
    const [linear] = await reportsHere('pseries-linear', '--filter', 'split');
    expect(linear).toMatchObject({ profile: 'pseries-linear [queue.layout=split]', differences: [] });
    const [listed] = await reportsHere('vfio-noiommu-is-unsafe');
    expect(listed!.outcome).toBe('refused');
    const folderOf = await reportsHere('refused');
    expect(folderOf.length).toBeGreaterThanOrEqual(5);
    expect((await reportsHere('refused/sev-legacy-device')).map(({ outcome }) => outcome)).toContain('refused');
  });

  it.each([
    ['pseries-liner', 'pseries-linear'],
    ['refusd', 'refused'],
  ])('are none by the name %s, with what was meant', async (name, meant) => {
    const { status, stderr } = await commandHere(['run', name], folder);
    expect(status).toBe(2);
    expect(stderr).toContain(`is neither a file nor a shipped profile — did you mean \`${meant}\`?`);
  });

  it('are the text of the standard input', async () => {
    let stdout = '';
    const streams = {
      stdout: { write: (text: string): boolean => (stdout += text) !== '' },
      stderr: { write: (): boolean => true },
      cwd: folder,
    };
    const text = 'extends: ./good.yaml\nprofile: piped\nmatrix: []\n';
    expect(await runCommandLine(['run', '-', '--json'], streams, { input: input(text) })).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([{ profile: 'piped', file: join(folder, '<stdin>') }]);
    expect(await runCommandLine(['run', '-'], streams, { input: input('queue: { layut: x }\n') })).toBe(2);
    expect(await runCommandLine(['run', '-'], streams, { input: input('x'.repeat(2 ** 20 + 2)) })).toBe(2);
    expect(await runCommandLine(['run', '-'], streams, {})).toBe(2);
  });
});

describe('run on a terminal', () => {
  it.each([80, 120, 200])('of %i columns has no line that is longer, with list and with table', async (columns) => {
    vi.stubEnv('NO_COLOR', '1');
    const long = `profile=${'a long name of a run '.repeat(4)}`;
    for (const words of [[], ['--reporter', 'table'], ['--verbose'], ['--set', long], ['--sanitize']]) {
      const text = await onTerminal(
        columns,
        'good.yaml',
        'wrong.yaml',
        'refused.yaml',
        'refused-access.yaml',
        ...words,
      );
      // On a slow computer a line of progress stood there before.
      // oxlint-disable-next-line no-control-regex
      const lines = text.split('\n').map((line) => line.replace(/^[^\n]*\u001B\[K/, ''));
      expect(lines.filter((line) => line.length > columns && !isCopied(line))).toEqual([]);
      expect(text).toContain('FAIL');
    }
    const table = await onTerminal(columns, 'good.yaml', '--reporter', 'table');
    expect(table).toMatch(columns < 120 ? /^ok .*good \[queue\.layout=split\]/ : /^ +profile +/);
  });

  it('has colours but with TERM=dumb, and one dim line for what is expected', async () => {
    for (const [name, value] of [
      ['NO_COLOR', ''],
      ['FORCE_COLOR', ''],
      ['TERM', 'xterm'],
    ] as const)
      vi.stubEnv(name, value);
    const text = await onTerminal(80, 'refused.yaml');
    expect(text).toMatch(
      // oxlint-disable-next-line no-control-regex -- the colours of the command
      /^\u001B\[32mok {2}\u001B\[39m .*\u001B\[2mvfio-noiommu.*refused EPERM, as expected\u001B\[22m\n/,
    );
    vi.stubEnv('TERM', 'dumb');
    expect(await onTerminal(80, 'refused.yaml')).not.toContain('\u001B');
    vi.stubEnv('FORCE_COLOR', '1');
    expect(await onTerminal(80, 'refused.yaml')).toContain('\u001B[32mok');
  });
});
