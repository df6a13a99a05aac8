import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { startProfile } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What no other program here sleeps for, so that it is found among all. */
const SECONDS = '61.0471';

let folder: string;
let sleeper: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  sleeper = join(folder, 'sleeper');
  writeFileSync(sleeper, `#!/bin/sh\nexec sleep ${SECONDS}\n`);
  chmodSync(sleeper, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** How many programs sleep for {@link SECONDS}. */
function sleeping(): number {
  const commands = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(join('/proc', name, 'cmdline'), 'utf8');
      } catch {
        return '';
      }
    });
  return commands.filter((command) => command.split('\0').includes(SECONDS)).length;
}

describe('a boot that is aborted while the program of its device says nothing', () => {
  it.each([
    [
      'QEMU',
      (): object => ({ use: '@virtio-platform/machine-qemu', board: 'q35', program: sleeper, startTimeout: 60_000 }),
    ],
    [
      'a back-end',
      (): object => ({
        use: '@virtio-platform/machine-vhost-user',
        command: [sleeper, '{socket}'],
        startTimeout: 60_000,
      }),
    ],
  ])('ends soon, and so does %s', async (_what, machine) => {
    const source: ProfileObject = {
      profile: 'aborted',
      platform: { use: '@virtio-platform/platform-legacy' },
      machine: { ...machine(), memory: '16MiB' },
      device: { type: 'block', capacity: '1MiB' },
      workload: { kind: 'write-read-verify', requests: 1, depth: 1, blockSize: 512 },
    };
    const run = startProfile(await loadProfile(source));
    await expect.poll(sleeping, { timeout: 10_000 }).toBe(1);
    const abortedAt = performance.now();
    run.abort();
    await expect(run.report).rejects.toMatchObject({ name: 'AbortError' });
    expect(performance.now() - abortedAt).toBeLessThan(3000);
    expect(sleeping()).toBe(0);
  });
});
