import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './command.ts';

/** The package of the command as `npm ci` leaves it in a clone: nothing is built. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
  for (const name of ['bin', 'src', 'package.json'])
    cpSync(join(ROOT, 'packages/cli', name), join(folder, name), { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the command of a clone that was not built', () => {
  it.each([
    [['run', 'profiles/pseries-linear.yaml'], 0, 'as expected'],
    [['explain', 'nothing.yaml'], 2, 'ERR_PROFILE_NOT_FOUND'],
  ] as const)('runs from the sources, with its exit status: %s', (words, status, text) => {
    const command = join(folder, 'bin', 'virtio-platform.js');
    const result = spawnSync(command, words, { cwd: ROOT, encoding: 'utf8' });
    expect([result.status, result.stdout + result.stderr]).toEqual([status, expect.stringContaining(text)]);
  });
});
