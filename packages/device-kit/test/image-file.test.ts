import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkImage, FileBacking } from '@virtio-platform/device-kit';

const CAPACITY = 8192;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function open(name: string, options: { readOnly?: boolean; overwrite?: boolean } = {}): FileBacking {
  const { readOnly = false, overwrite } = options;
  return new FileBacking(join(folder, name), CAPACITY, readOnly, overwrite);
}

function refusal(message: RegExp): unknown {
  return expect.objectContaining({
    code: 'ERR_DEVICE_IMAGE',
    message: expect.stringMatching(message),
    hint: expect.stringMatching(/./),
  });
}

describe('the image of a block device', () => {
  const refused: readonly (readonly [string, RegExp, () => void])[] = [
    ['a folder', /is a folder/, () => mkdirSync(join(folder, 'image'))],
    ['a link', /is a symbolic link/, () => symlinkSync(join(folder, 'target'), join(folder, 'image'))],
    ['a link to nothing', /is a symbolic link/, () => symlinkSync('/nonexistent', join(folder, 'image'))],
    ['a pipe', /is a pipe/, () => spawnSync('mkfifo', [join(folder, 'image')])],
  ];
  it.each(refused)('T9 S5 is not %s', (_, message, make) => {
    writeFileSync(join(folder, 'target'), Buffer.alloc(CAPACITY, 7));
    make();
    for (const readOnly of [false, true])
      expect(() => open('image', { readOnly, overwrite: true })).toThrow(refusal(message));
    expect(readFileSync(join(folder, 'target'))).toEqual(Buffer.alloc(CAPACITY, 7));
    expect(existsSync('/nonexistent')).toBe(false);
  });

  it('S5 is no device file and no socket', async () => {
    expect(() => new FileBacking('/dev/zero', CAPACITY, true)).toThrow(refusal(/is a device file/));
    const server = createServer().listen(join(folder, 'socket'));
    await once(server, 'listening');
    expect(() => open('socket')).toThrow(refusal(/is a socket/));
    server.close();
  });

  it('T9 is in a folder that is there', () => {
    expect(() => open('none/image')).toThrow(refusal(/ENOENT/));
    writeFileSync(join(folder, 'file'), '');
    expect(() => open('file/image')).toThrow(refusal(/ENOTDIR/));
    expect(() => open('image', { readOnly: true })).toThrow(refusal(/ENOENT/));
    expect(() => open('x'.repeat(300))).toThrow(refusal(/ENAMETOOLONG/));
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('T9 may be opened, and does not stay where it cannot be made', () => {
    expect(() => new FileBacking(join(folder, 'huge'), Number.MAX_SAFE_INTEGER, false)).toThrow(
      refusal(/EFBIG|EINVAL/),
    );
    expect(readdirSync(folder)).toEqual([]);
    if (process.getuid!() === 0) return;
    writeFileSync(join(folder, 'image'), Buffer.alloc(CAPACITY));
    chmodSync(join(folder, 'image'), 0);
    expect(() => open('image')).toThrow(refusal(/EACCES/));
  });

  it.each([0, 1, CAPACITY - 1, CAPACITY + 1])(
    'S5 of %i bytes is left as it is, unless it may be overwritten',
    (size) => {
      const path = join(folder, 'notes.txt');
      writeFileSync(path, Buffer.alloc(size, 0x61));
      expect(() => open('notes.txt')).toThrow(refusal(new RegExp(`has ${size} bytes`)));
      expect(() => checkImage(path, { capacity: CAPACITY, readOnly: false, overwrite: false })).toThrow(refusal(/has/));
      expect(readFileSync(path)).toEqual(Buffer.alloc(size, 0x61));
      const backing = open('notes.txt', { overwrite: true });
      backing.write(0, new Uint8Array(512), 0, 512);
      backing.dispose();
      expect(statSync(path).size).toBe(Math.max(size, CAPACITY));
    },
  );

  it('S5 of another size can be read', () => {
    writeFileSync(join(folder, 'short'), Buffer.alloc(100, 3));
    const backing = open('short', { readOnly: true });
    const bytes = new Uint8Array(512).fill(9);
    backing.read(0, bytes, 0, 512);
    expect([bytes[99], bytes[100], bytes[511]]).toEqual([3, 0, 0]);
    backing.dispose();
  });

  it('S7 belongs to one device that writes, or to several that read', () => {
    linkSync(
      (writeFileSync(join(folder, 'image'), Buffer.alloc(CAPACITY)), join(folder, 'image')),
      join(folder, 'same'),
    );
    const writer = open('image');
    for (const name of ['image', 'same']) {
      expect(() => open(name)).toThrow(refusal(/is in use/));
      expect(() => open(name, { readOnly: true })).toThrow(refusal(/is in use/));
    }
    writer.dispose();
    const readers = [open('image', { readOnly: true }), open('same', { readOnly: true })];
    expect(() => open('image')).toThrow(refusal(/is in use/));
    for (const reader of readers) reader.dispose();
    open('image').dispose();
  });

  it('S7 is free when the process that had it is killed', async () => {
    writeFileSync(join(folder, 'image'), Buffer.alloc(CAPACITY));
    const holder = spawn('flock', ['-x', join(folder, 'image'), 'sleep', '60'], { detached: true });
    await expect.poll(() => isRefused(() => open('image').dispose())).toBe(true);
    process.kill(-holder.pid!, 'SIGKILL');
    await expect.poll(() => isRefused(() => open('image').dispose())).toBe(false);
  });
});

function isRefused(body: () => void): boolean {
  try {
    body();
    return false;
  } catch {
    return true;
  }
}
