import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConvertibleMemory, HostError, MemoryFile, MemoryMapping, SharedMemory } from '../src/index.ts';

const PAGE = 4096;

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('SharedMemory', () => {
  it('shows through one mapping what was written through another', () => {
    const memory = SharedMemory.create(2 * PAGE);
    const other = MemoryMapping.ofFile(memory.descriptor, 2 * PAGE);
    new Uint8Array(memory.buffer)[PAGE + 5] = 0x5a;
    expect(new Uint8Array(other.buffer)[PAGE + 5]).toBe(0x5a);
    expect(Atomics.add(new Uint16Array(other.buffer), 0, 3)).toBe(0);
    expect(new Uint16Array(memory.buffer)[0]).toBe(3);
    other.dispose();
    memory.dispose();
  });

  it('gives back its descriptor once, however often it is disposed', () => {
    const before = openDescriptors();
    const memory = SharedMemory.create(PAGE);
    expect(openDescriptors()).toBe(before + 1);
    memory.dispose();
    memory.dispose();
    expect(openDescriptors()).toBe(before);
  });

  it('refuses every use after it was disposed', () => {
    const memory = SharedMemory.create(PAGE);
    memory.dispose();
    expect(() => memory.buffer).toThrow(TypeError);
    expect(() => memory.descriptor).toThrow(TypeError);
  });
});

describe('MemoryMapping', () => {
  it('names the system call and the errno of a failure', () => {
    const error = failure(() => MemoryMapping.ofFile(-1, PAGE));
    expect(error).toBeInstanceOf(HostError);
    expect(error).toMatchObject({ code: 'ERR_SYSCALL', syscall: 'mmap', errno: 'EBADF' });
  });

  it('refuses to lay pages outside itself', () => {
    const file = MemoryFile.create('test', 4 * PAGE);
    const mapping = MemoryMapping.anonymous(2 * PAGE);
    expect(() => mapping.layFile(file.descriptor, PAGE, 2 * PAGE)).toThrow(RangeError);
    expect(() => mapping.layAnonymous(-PAGE, PAGE)).toThrow(RangeError);
    mapping.dispose();
    expect(() => mapping.layAnonymous(0, PAGE)).toThrow(TypeError);
    file.dispose();
  });
});

describe('ConvertibleMemory', () => {
  it('keeps private pages out of the file and puts shared ones into it', () => {
    const memory = ConvertibleMemory.create(4 * PAGE);
    const peer = MemoryMapping.ofFile(memory.descriptor, 4 * PAGE);
    const bytes = new Uint8Array(memory.buffer);
    const seen = new Uint8Array(peer.buffer);
    bytes.fill(0x11);
    memory.share(PAGE, 2 * PAGE);
    expect(bytes[PAGE]).toBe(0);
    bytes.fill(0x22, PAGE, 3 * PAGE);
    expect([seen[0], seen[PAGE], seen[3 * PAGE - 1], seen[3 * PAGE]]).toEqual([0, 0x22, 0x22, 0]);
    expect([bytes[PAGE - 1], bytes[3 * PAGE]]).toEqual([0x11, 0x11]);
    seen[2 * PAGE] = 0x33;
    expect(bytes[2 * PAGE]).toBe(0x33);
    peer.dispose();
    memory.dispose();
  });

  it('wipes what the file held when pages become private again', () => {
    const memory = ConvertibleMemory.create(2 * PAGE);
    const peer = MemoryMapping.ofFile(memory.descriptor, 2 * PAGE);
    const bytes = new Uint8Array(memory.buffer);
    memory.share(0, PAGE);
    bytes.fill(0x44, 0, PAGE);
    memory.unshare(0, PAGE);
    expect(new Uint8Array(peer.buffer).every((byte) => byte === 0)).toBe(true);
    bytes.fill(0x55, 0, PAGE);
    expect(new Uint8Array(peer.buffer)[0]).toBe(0);
    peer.dispose();
    memory.dispose();
  });
});

function failure(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
