import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

function npm(words: readonly string[], stdout: 'pipe' | number = 'pipe'): ReturnType<typeof spawnSync> {
  return spawnSync('npm', words, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', stdout, 'pipe'] });
}

describe('the command under npm', () => {
  it.each([
    ['start', ['start', 'nothing.yaml', '--sanitize'], 'npm start -- ... --sanitize'],
    ['start with another option', ['start', 'nothing.yaml', '--json'], 'npm start -- ... --json'],
    ['start with a negated option', ['start', 'nothing.yaml', '--no-programs'], 'npm start -- ... --no-programs'],
    ['run', ['run', 'virtio-platform', 'matrix', '--rules'], 'npm run virtio-platform -- ... --rules'],
  ] as const)('S6 says that `--` was forgotten: %s', (_, words, advice) => {
    const { status, stderr } = npm(words);
    expect([status, stderr]).toEqual([2, expect.stringContaining(advice)]);
  });

  it('S6 takes its options after `--`', () => {
    const { status, stderr } = npm(['start', '--silent', '--', 'nothing.yaml', '--sanitize', '--json']);
    expect(status).toBe(2);
    expect(JSON.parse(String(stderr))).toMatchObject({ error: { code: 'ERR_PROFILE_NOT_FOUND' } });
  });

  it('S6 tells of the banner that npm wrote into a file, and of none with --silent', () => {
    const path = join(folder, 'schema.json');
    const run = (words: readonly string[]): string => {
      const file = openSync(path, 'w');
      const { stderr } = npm(words, file);
      closeSync(file);
      return String(stderr);
    };
    expect(run(['run', 'virtio-platform', '--', 'schema'])).toContain('--silent');
    expect(run(['run', '--silent', 'virtio-platform', '--', 'schema'])).toBe('');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ type: 'object' });
  });
});
