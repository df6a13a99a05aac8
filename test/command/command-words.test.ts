import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { runCommandLine } from '@virtio-platform/cli';
import { displayPath } from '@virtio-platform/profile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CollectedText, commandHere, ROOT, type CommandResult } from './command.ts';

const PROFILE = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}
profile: mine
summary: one of mine
matrix: []
workload: { requests: 64 }
`;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  writeFileSync(join(folder, 'mine.yaml'), PROFILE);
});
afterAll(() => rmSync(folder, { recursive: true }));

function mine(): string {
  return join(folder, 'mine.yaml');
}

/** The command with a profile on its standard input. */
async function piped(words: readonly string[]): Promise<CommandResult> {
  const [stdout, stderr] = [new CollectedText(), new CollectedText()];
  const input = Readable.from([PROFILE]);
  const status = await runCommandLine(words, { stdout, stderr, cwd: folder }, { input });
  return { status, stdout: stdout.text, stderr: stderr.text };
}

describe('the profile -', () => {
  it.each([
    [['explain', '-'], /^mine {2}pseries on simulated/],
    [['explain', '-', '--feature', 'VERSION_1'], /^mine {2}VERSION_1 \(bit 32\): accepted/],
    [['check', '-'], /^ok - {2}one of mine$/m],
    [['matrix', '-'], /^offer +mine\b/],
    [['step', '-', '--requests', '1'], /^mine {2}pseries, simulated, block/],
    [['run', '-'], /^ok .* {2}mine {2}linear, 64 requests$/m],
  ] as const)('is read from the standard input by %j', async (words, printed) => {
    const { status, stdout, stderr } = await piped(words);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(printed);
  });

  it('is read once, however often it is named', async () => {
    const { status, stdout } = await piped(['check', '-', '-']);
    expect([status, stdout.match(/^ok -/gm)]).toEqual([0, ['ok -', 'ok -']]);
  });
});

describe('a word that names no profile', () => {
  it('is wrong without a line, and says what was probably meant', async () => {
    const { status, stderr } = await commandHere(['run', 'pseries-linaer']);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^error pseries-linaer: is neither .* did you mean `pseries-linear`\? \[ERR_PROFILE_NOT_FOUND\]/,
    );
    expect((await commandHere(['check', 'nothing.yaml'])).stderr).toMatch(/^error nothing\.yaml: does not exist /);
  });
});

describe('run', () => {
  it('prints with --quiet one line for what went well', async () => {
    const { stdout } = await commandHere(['run', mine(), '--quiet']);
    expect(stdout).toMatch(/^1 of 1 runs as expected, 64 requests in .*\n$/);
  });

  it('begins with --quiet with the run that failed', async () => {
    const { stdout } = await commandHere(['run', mine(), '--quiet', '--set', 'expect.path=bounced']);
    expect(stdout).toMatch(/^FAIL /);
    const table = await commandHere(['run', mine(), '--quiet', '--reporter', 'table', '--set', 'expect.path=bounced']);
    expect(table.stdout).toMatch(/^mine\n {2}differs path: expected bounced, was linear\n/);
  });

  it('names the trace by the shorter of its paths', async () => {
    const trace = join(folder, 't.json');
    const { stdout } = await commandHere(['run', mine(), '--trace', trace]);
    expect(stdout).toContain(`\n${displayPath(trace, ROOT)} has `);
  });

  it('makes no more runs than it can keep the reports of', async () => {
    const both = ['run', mine(), 'pseries-linear'];
    const { status, stdout, stderr } = await commandHere([...both, '--repeat', '4000']);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^error --repeat 4000 of 3 runs makes 12,000, and a command makes at most 10,000 /);
    expect(stderr).toContain('repeat them 3333 times at most');
  });
});

describe('explain --feature', () => {
  it('names the option by which the platform decides what the feature means', async () => {
    const { stdout } = await commandHere(['explain', 'pseries-linear', '--feature', 'ACCESS_PLATFORM']);
    expect(stdout).toMatch(/^ {2}option {4}platform\.window: \{ kind: ddw, mapping: linear \}$/m);
    const none = await commandHere(['explain', 'pseries-linear', '--feature', 'ORDER_PLATFORM', '--json']);
    expect((JSON.parse(none.stdout) as readonly { option: string }[])[0]!.option).toBe('device.offers');
  });
});

describe('help', () => {
  it.each(['', 'run', 'explain', 'step', 'matrix', 'check', 'list', 'new'])(
    'of %s has lines of 80 columns',
    async (command) => {
      const { stdout } = await commandHere([...(command === '' ? [] : [command]), '--help']);
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    },
  );
});
