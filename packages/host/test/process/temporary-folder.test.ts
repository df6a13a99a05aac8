import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sweepTemporaryFolders, TemporaryFolder } from '../../src/process/temporary-folder.ts';

const MODULE = fileURLToPath(new URL('../../src/process/temporary-folder.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

const saved = process.env['TMPDIR'];
let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
  process.env['TMPDIR'] = parent;
});
afterEach(() => {
  if (saved === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = saved;
  rmSync(parent, { recursive: true, force: true });
});

/** The folders of this package; other programs have theirs beside them. */
function folders(): string[] {
  return readdirSync(parent).filter((name) => name.startsWith('virtio-platform-'));
}

function folderOf(name: string, owner: string): void {
  mkdirSync(join(parent, `virtio-platform-${name}`));
  writeFileSync(join(parent, `virtio-platform-${name}`, 'owner'), owner);
}

describe('TemporaryFolder', () => {
  it.each([
    ['is not there', 'nowhere', 'ENOENT'],
    ['is a file', 'file', 'ENOTDIR'],
  ])('T9 says that TMPDIR %s', (_, name, errno) => {
    writeFileSync(join(parent, 'file'), '');
    process.env['TMPDIR'] = join(parent, name);
    expect(() => new TemporaryFolder()).toThrow(
      expect.objectContaining({ code: 'ERR_SYSCALL', errno, hint: expect.stringContaining('TMPDIR') }),
    );
  });

  it('T9 says that a file cannot be created', () => {
    const folder = new TemporaryFolder();
    const create = (): string => folder.createSparseFile('image', 2 ** 53 - 1);
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_SYSCALL', message: expect.stringContaining('image') }));
    folder.dispose();
    expect(readdirSync(parent)).toEqual([]);
  });
});

describe('sweepTemporaryFolders', () => {
  it('S3 removes the folder of a process that was killed, and no other', () => {
    const script = `const { TemporaryFolder } = await import(${JSON.stringify(MODULE)});
new TemporaryFolder().createSparseFile('image', 4096);
process.kill(process.pid, 'SIGKILL');`;
    const words = ['--import', 'tsx', '--conditions=@virtio-platform/source', '--input-type=module', '-e', script];
    expect(spawnSync(process.execPath, words, { cwd: ROOT }).signal).toBe('SIGKILL');
    const [stale] = folders();
    expect(existsSync(join(parent, stale!, 'image'))).toBe(true);

    const own = new TemporaryFolder();
    mkdirSync(join(parent, 'virtio-platform-without-owner'));
    const kept = folders().filter((name) => name !== stale);
    sweepTemporaryFolders();
    expect(folders()).toEqual(kept);
    own.dispose();
  });

  it('S3 leaves what belongs to another container, removes what is older than the kernel, and believes no nonsense', () => {
    const own = new TemporaryFolder();
    const owner = JSON.parse(readFileSync(own.pathOf('owner'), 'utf8')) as Record<string, unknown>;
    folderOf('container', JSON.stringify({ ...owner, namespace: 'pid:[1]', started: '1' }));
    folderOf('boot', JSON.stringify({ ...owner, boot: 'another', namespace: 'pid:[1]' }));
    folderOf('reused', JSON.stringify({ ...owner, started: '1' }));
    for (const [i, content] of ['', '{}', 'null', '[]', '{"pid":-1}'].entries()) folderOf(`nonsense-${i}`, content);
    sweepTemporaryFolders();
    const left = folders().filter((name) => join(parent, name) !== dirname(own.pathOf('x')));
    expect(left.filter((name) => !name.includes('nonsense'))).toEqual(['virtio-platform-container']);
    expect(left.filter((name) => name.includes('nonsense'))).toHaveLength(5);
    own.dispose();
  });
});
