import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeviceFile, HostError, lockedMemory, memoryLockLimit, MemoryMapping, NativeBuffer } from '../src/index.ts';

const PAGE = 4096;
/** asm-generic/ioctls.h: returns the number of bytes that can be read. */
const FIONREAD = 0x541b;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  writeFileSync(join(folder, 'file'), 'abcdefgh');
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('DeviceFile', () => {
  it('reads and writes at offsets, and makes ioctls with a structure', () => {
    const file = DeviceFile.open(join(folder, 'file'));
    const bytes = new Uint8Array(4);
    expect(file.read(bytes, 2)).toBe(4);
    expect(Buffer.from(bytes).toString()).toBe('cdef');
    expect(file.write(Buffer.from('XY'), 1)).toBe(2);
    expect(file.read(bytes, 6)).toBe(2);
    const count = new NativeBuffer(4);
    expect(file.control(FIONREAD, count)).toBe(0);
    expect(count.bytes.getInt32(0, true)).toBe(8);
    count.dispose();
    file.dispose();
    file.dispose();
    expect(() => file.descriptor).toThrow(TypeError);
  });

  it('returns a negated errno where the kernel refuses a call', () => {
    const file = DeviceFile.open(join(folder, 'file'));
    expect(file.control(0x3b64)).toBe(-constants.errno.ENOTTY);
    expect(file.read(new Uint8Array(1), -1)).toBe(-constants.errno.EINVAL);
    file.dispose();
  });

  it('names the file that cannot be opened', () => {
    expect(() => DeviceFile.open(join(folder, 'none'))).toThrow(HostError);
    expect(() => DeviceFile.open(join(folder, 'none'))).toThrow(/open .*none: open: ENOENT/);
  });
});

describe('memoryLockLimit', () => {
  it('is the limit of the shell, or undefined with CAP_IPC_LOCK', () => {
    const limit = execFileSync('sh', ['-c', 'ulimit -l'], { encoding: 'utf8' }).trim();
    const expected = limit === 'unlimited' ? undefined : Number(limit) * 1024;
    expect([expected, undefined]).toContain(memoryLockLimit());
  });
});

describe('lockedMemory', () => {
  it('T8 is what the kernel counts against the limit', () => {
    expect(lockedMemory()! % 1024).toBe(0);
  });
});

describe('MemoryMapping.pinnable', () => {
  it('has an inaccessible page behind it', () => {
    const memory = MemoryMapping.pinnable(2 * PAGE);
    expect(memory.size).toBe(2 * PAGE);
    new Uint8Array(memory.buffer).fill(0x5a);
    const end = (memory.address + BigInt(2 * PAGE)).toString(16);
    expect(readFileSync('/proc/self/maps', 'utf8')).toMatch(new RegExp(`^${end}-[0-9a-f]+ ---s`, 'm'));
    memory.dispose();
    expect(() => memory.address).toThrow(TypeError);
  });

  it('maps a file from an offset on', () => {
    writeFileSync(join(folder, 'pages'), Buffer.alloc(3 * PAGE));
    const file = DeviceFile.open(join(folder, 'pages'));
    file.write(Buffer.from([7]), 2 * PAGE);
    const mapping = MemoryMapping.ofFile(file.descriptor, PAGE, 2 * PAGE);
    expect(new Uint8Array(mapping.buffer)[0]).toBe(7);
    mapping.dispose();
    file.dispose();
  });
});
