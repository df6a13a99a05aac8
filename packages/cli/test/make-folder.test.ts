import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { makeFolder } from '../src/make-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('makes a folder with those that it is in, once', () => {
  const path = join(folder, 'a/b/c');
  makeFolder(path);
  makeFolder(path);
  expect(existsSync(path)).toBe(true);
});

it('throws where a file is in the way', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => makeFolder(join(folder, 'file'))).toThrow('EEXIST');
  expect(() => makeFolder(join(folder, 'file/x'))).toThrow(/EEXIST|ENOTDIR/);
});

// Node's own `mkdirSync('/proc/x/y', { recursive: true })` does not come back.
it.runIf(existsSync('/proc/self'))('throws where a file system refuses new folders', () => {
  expect(() => makeFolder('/proc/no-such-folder/y')).toThrow('ENOENT');
});
