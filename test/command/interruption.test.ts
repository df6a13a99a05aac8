import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandProcess, ROOT, withoutProgress } from './command.ts';
import { slowMachine } from './slow-machine.ts';

let folder: string;
let files: readonly string[];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  const base = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}\nmatrix: []\nexpect: { path: linear }\n`;
  const profile = (name: string, requests: number): string => {
    const path = join(folder, `${name}.yaml`);
    writeFileSync(path, `${base}profile: ${name}\nworkload: { requests: ${requests}, depth: 4 }\n`);
    return path;
  };
  files = [profile('short', 10), profile('endless', 1_000_000_000), profile('never', 10)];
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a reporter wrote to its file. */
function written(name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}

/** Starts the three runs, and waits until the second one is under way. */
async function startRuns(words: readonly string[]): Promise<ReturnType<typeof commandProcess>> {
  const started = commandProcess(['run', ...files, ...words]);
  let text = '';
  const { stdout, stderr } = started.process;
  for (const stream of [stdout!, stderr!]) stream.on('data', (part) => (text += String(part)));
  await expect.poll(() => text, { timeout: 60_000 }).toMatch(/run 2 of 3, endless: [\d,]+ of 1,000,000,000/);
  return started;
}

describe('an interrupted run', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('keeps what has ended, with %s', async (signal, status) => {
    const outputs = ['list', 'json', 'junit', 'tap'].map((name) => `--reporter=${name}=${join(folder, name)}`);
    const { process: child, finished } = await startRuns(outputs);
    child.kill(signal);
    const { status: ended, stdout, stderr } = await finished;
    expect(ended).toBe(status);
    expect(withoutProgress(stdout)).toMatch(
      /^ok .* {2}short {2}linear, 10 requests\n\ninterrupted by SIG\w+: 2 runs were not made\n/,
    );
    expect(stdout).toContain('1 of 1 runs as expected');
    // What is not a terminal gets a line every two seconds, and no line is replaced.
    expect(stdout).toMatch(/^run 2 of 3, endless: .*\n/m);
    expect(stderr).toBe('');
    const reports = JSON.parse(written('json')) as RunReport[];
    expect(reports.map(({ profile, differences }) => [profile, differences])).toEqual([['short', []]]);
    expect(written('junit')).toContain('tests="3" failures="0" errors="0" skipped="2"');
    expect(written('tap')).toMatch(new RegExp(`\nBail out! interrupted by ${signal}\n$`));
  });

  it('that does not end by itself ends at once with the second signal', async () => {
    const { process: child, finished } = await startRuns([
      '--set',
      `machine.use=${slowMachine(folder)}`,
      '--set',
      'machine.memory=64MiB',
    ]);
    let isOver = false;
    void finished.then(() => (isOver = true));
    child.kill('SIGINT');
    await setTimeout(1000);
    expect(isOver).toBe(false);
    child.kill('SIGTERM');
    const { status, stdout } = await finished;
    expect(status).toBe(143);
    expect(stdout).not.toContain('runs as expected');
  });
});
