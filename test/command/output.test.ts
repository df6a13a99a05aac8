import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readdirSync, rmSync, writeFileSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandProcess, ROOT, virtioPlatform } from './command.ts';

const WORDS = [join(ROOT, 'packages/cli/dist/main.js')];

let folder: string;
let failing: string;
let verified: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  const base = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}\nmatrix: []\n`;
  verified = join(folder, 'verified.yaml');
  writeFileSync(verified, `${base}workload: { requests: 10, depth: 4 }\nexpect: { path: linear }\n`);
  failing = join(folder, 'failing.yaml');
  writeFileSync(failing, `${base}workload: { requests: 10, depth: 4 }\nexpect: { path: identity }\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

function folders(temporary: string): string[] {
  return readdirSync(temporary).filter((name) => name.startsWith('virtio-platform-'));
}

function daemons(temporary: string): string[] {
  const { stdout } = spawnSync('pgrep', ['-f', `qemu-storage-daemon.*${temporary}`], { encoding: 'utf8' });
  return stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '');
}

async function started(temporary: string): Promise<void> {
  await expect.poll(() => daemons(temporary).length, { timeout: 60_000, interval: 200 }).toBeGreaterThan(0);
}

describe('the exit status', () => {
  it.each([
    ['a run that differs', (): string => failing, 1],
    ['a run as expected', (): string => verified, 0],
  ])('S1 is that of %s, whatever becomes of its output', async (_, file, status) => {
    const full = openSync('/dev/full', 'w');
    try {
      for (const stdio of [
        ['ignore', full, 'pipe'],
        ['ignore', 'pipe', full],
        ['ignore', full, full],
      ] as const) {
        const { status: ended } = spawnSync(process.execPath, [...WORDS, 'run', file(), '--json'], {
          cwd: ROOT,
          stdio: [...stdio],
        });
        expect(ended).toBe(status);
      }
      const { status: closed } = spawnSync(
        'bash',
        ['-o', 'pipefail', '-c', '"$@" | true', 'bash', process.execPath, ...WORDS, 'run', file()],
        { cwd: ROOT },
      );
      expect(closed).toBe(status);
    } finally {
      closeSync(full);
    }
  });

  it('S1 is that of the runs where an error cannot be told', async () => {
    const full = openSync('/dev/full', 'w');
    const { status } = spawnSync(process.execPath, [...WORDS, 'run', 'nothing.yaml'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', full],
    });
    closeSync(full);
    expect(status).toBe(2);
  });
});

describe('signals and what a killed run left', () => {
  const storage = join(ROOT, 'profiles/vhost-user/physical.yaml');
  const isInstalled = spawnSync('qemu-storage-daemon', ['--version']).status === 0;

  /** A run of the storage daemon, started by a shell, that goes on until it is ended. */
  function startEndless(temporary: string): ReturnType<typeof commandProcess> {
    const path = join(folder, 'endless.yaml');
    writeFileSync(
      path,
      `extends: ${storage}
profile: endless
machine:
  command:
    - sh
    - -c
    - 'qemu-storage-daemon "$@" & wait'
    - sh
    - --blockdev
    - driver=file,node-name=disk,filename={image}
    - --export
    - type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path={socket},writable=on
workload: { requests: 100000000 }
`,
    );
    return commandProcess(['run', path], { TMPDIR: temporary });
  }

  it.skipIf(!isInstalled).each([
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const)('S3 S4 %s ends the run with everything that it started', async (signal, status) => {
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    const { process: child, finished } = startEndless(temporary);
    await started(temporary);
    child.kill(signal);
    expect((await finished).status).toBe(status);
    await expect.poll(() => daemons(temporary), { timeout: 5000 }).toEqual([]);
    expect(folders(temporary)).toEqual([]);
  });

  it.skipIf(!isInstalled)('S3 S4 a run sweeps what a killed one left, and the guard ended its programs', async () => {
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    const { process: child } = startEndless(temporary);
    await started(temporary);
    child.kill('SIGKILL');
    await once(child, 'close');
    await expect.poll(() => daemons(temporary), { timeout: 5000 }).toEqual([]);
    expect(folders(temporary)).toHaveLength(1);
    const { status } = await virtioPlatform(['run', verified], { TMPDIR: temporary });
    expect([status, folders(temporary)]).toEqual([0, []]);
  });
});
