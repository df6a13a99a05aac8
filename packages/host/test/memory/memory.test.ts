import { closeSync, fstatSync, ftruncateSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ConvertibleMemory, HostError, MemoryFile, MemoryMapping, SharedMemory } from '../../src/index.ts';

const PAGE = 4096;

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('SharedMemory', () => {
  it('shows the writes through one mapping in another mapping', () => {
    const memory = SharedMemory.create(2 * PAGE);
    const other = MemoryMapping.ofFile(memory.descriptor, 2 * PAGE);
    new Uint8Array(memory.buffer)[PAGE + 5] = 0x5a;
    expect(new Uint8Array(other.buffer)[PAGE + 5]).toBe(0x5a);
    expect(Atomics.add(new Uint16Array(other.buffer), 0, 3)).toBe(0);
    expect(new Uint16Array(memory.buffer)[0]).toBe(3);
    other.dispose();
    memory.dispose();
  });

  it('closes its descriptor once, at the first dispose', () => {
    const before = openDescriptors();
    const memory = SharedMemory.create(PAGE);
    expect(openDescriptors()).toBe(before + 1);
    memory.dispose();
    memory.dispose();
    expect(openDescriptors()).toBe(before);
  });

  it('throws after dispose', () => {
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

  it('refuses to replace pages outside of itself', () => {
    const file = MemoryFile.create('test', 4 * PAGE);
    const mapping = MemoryMapping.anonymous(2 * PAGE);
    expect(() => mapping.mapFilePages(file.descriptor, PAGE, 2 * PAGE)).toThrow(RangeError);
    expect(() => mapping.mapAnonymousPages(-PAGE, PAGE)).toThrow(RangeError);
    mapping.dispose();
    expect(() => mapping.mapAnonymousPages(0, PAGE)).toThrow(TypeError);
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
    expect([seen[0], seen[PAGE], seen[3 * PAGE - 1], seen[3 * PAGE]]).toEqual([0, 0x11, 0x11, 0]);
    bytes.fill(0x22, PAGE, 3 * PAGE);
    expect([seen[0], seen[PAGE], seen[3 * PAGE - 1], seen[3 * PAGE]]).toEqual([0, 0x22, 0x22, 0]);
    expect([bytes[PAGE - 1], bytes[3 * PAGE]]).toEqual([0x11, 0x11]);
    seen[2 * PAGE] = 0x33;
    expect(bytes[2 * PAGE]).toBe(0x33);
    peer.dispose();
    memory.dispose();
  });

  it('moves pages out of the file with their content, and zeroes them in the file', () => {
    const memory = ConvertibleMemory.create(4 * PAGE);
    const bytes = new Uint8Array(memory.buffer);
    memory.share(0, 3 * PAGE);
    for (let page = 0; page < 4; page++) bytes.fill(page + 1, page * PAGE, (page + 1) * PAGE);
    memory.unshare(PAGE, PAGE);
    expect([0, 1, 2, 3].map((page) => bytes[page * PAGE + 7])).toEqual([1, 2, 3, 4]);
    const file = readFileSync(`/proc/self/fd/${memory.descriptor}`);
    expect([0, 1, 2, 3].map((page) => file[page * PAGE + 7])).toEqual([1, 0, 3, 0]);
    bytes.fill(0x55, PAGE, 2 * PAGE);
    expect(readFileSync(`/proc/self/fd/${memory.descriptor}`).includes(0x55)).toBe(false);
    memory.dispose();
  });

  it('uses memory only for pages that were written', () => {
    const memory = ConvertibleMemory.create(16 << 20);
    new Uint8Array(memory.buffer)[5 << 20] = 1;
    memory.share(0, 16 << 20);
    expect(fstatSync(memory.descriptor).blocks * 512).toBeLessThanOrEqual(1 << 16);
    memory.unshare(0, 16 << 20);
    expect(fstatSync(memory.descriptor).blocks).toBe(0);
    expect(new Uint8Array(memory.buffer)[5 << 20]).toBe(1);
    memory.dispose();
  });

  it('lets the kernel merge the mappings of adjacent pages, in any order of sharing', () => {
    const pages = 256;
    const memory = ConvertibleMemory.create(pages * PAGE);
    const bytes = new Uint8Array(memory.buffer);
    for (let page = 0; page < pages; page++) bytes[page * PAGE] = page;
    const before = fileMappings();
    // An odd step reaches every page, in an order of its own.
    for (const step of [77, 33, 1, 255]) {
      for (let i = 0; i < pages; i++) memory.share(((i * step) % pages) * PAGE, PAGE);
      expect(fileMappings()).toBe(before + 1);
      memory.unshare(0, pages * PAGE);
      expect(fileMappings()).toBe(before);
    }
    for (let page = 0; page < pages; page++) expect(bytes[page * PAGE]).toBe(page);
    memory.dispose();
  });

  it('leaves pages private, with their content, when sharing fails', () => {
    const memory = ConvertibleMemory.create(2 * PAGE);
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(0x66);
    closeSync(memory.descriptor);
    expect(failure(() => memory.share(0, PAGE))).toMatchObject({
      code: 'ERR_SYSCALL',
      errno: 'EBADF',
    });
    expect(bytes.every((byte) => byte === 0x66)).toBe(true);
    memory.dispose();
  });

  it('converts only whole pages inside of itself', () => {
    const memory = ConvertibleMemory.create(2 * PAGE);
    new Uint8Array(memory.buffer).fill(0x77);
    for (const [offset, length] of [
      [1, PAGE],
      [0, 100],
      [-PAGE, PAGE],
      [PAGE, 2 * PAGE],
      [0, 0],
      [Number.NaN, PAGE],
    ] as const) {
      expect(() => memory.share(offset, length)).toThrow(RangeError);
      expect(() => memory.unshare(offset, length)).toThrow(RangeError);
    }
    expect(readFileSync(`/proc/self/fd/${memory.descriptor}`).includes(0x77)).toBe(false);
    memory.dispose();
  });
});

describe('MemoryFile', () => {
  it('has a fixed size, also for other holders of its descriptor', () => {
    const file = MemoryFile.create('test', 2 * PAGE);
    expect(() => ftruncateSync(file.descriptor, PAGE)).toThrow('EPERM');
    expect(() => ftruncateSync(file.descriptor, 3 * PAGE)).toThrow('EPERM');
    file.write(Uint8Array.of(1, 2, 3), PAGE);
    const bytes = new Uint8Array(4);
    file.read(bytes, PAGE);
    expect([...bytes]).toEqual([1, 2, 3, 0]);
    expect(() => file.read(bytes, 2 * PAGE - 1)).toThrow(RangeError);
    file.dispose();
  });
});

/** The number of mappings of memory files in this process, plus one. */
function fileMappings(): number {
  return readFileSync('/proc/self/maps', 'utf8').split('/memfd:').length;
}

function failure(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
