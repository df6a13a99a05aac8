import { describe, expect, it } from 'vitest';
import { RegisterWindow, type AccessWidth } from '../src/pci-function.ts';
import { RegisterFile, SoftwareFunction } from './register-file.ts';

const bar = new RegisterFile(0x100);
const pci = new SoftwareFunction(0x1af4, 0x1042, [bar]);
const window = new RegisterWindow(pci, 'registers', 0, 0x40, 0x20);

describe('RegisterWindow', () => {
  it('reads and writes at its offset', () => {
    window.write(4, 4, 0x1234_5678);
    expect([window.read(4, 2), bar.peek(0x44, 4)]).toEqual([0x5678, 0x1234_5678]);
    window.writeBytes(8, Uint8Array.of(1, 2, 3));
    const bytes = new Uint8Array(3);
    window.readBytes(8, bytes);
    expect([...bytes]).toEqual([1, 2, 3]);
  });

  it.each<[number, AccessWidth]>([
    [-1, 1],
    [-4, 4],
    [0x20, 1],
    [0x1f, 2],
    [0x1e, 4],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, 1],
  ])('refuses an access at %d of %d bytes', (offset, width) => {
    const before = bar.log.length;
    expect(() => window.write(offset, width, 1)).toThrow(RangeError);
    expect(() => window.read(offset, width)).toThrow(RangeError);
    expect(bar.log).toHaveLength(before);
  });

  it('can be all of a BAR, but not longer', () => {
    expect(new RegisterWindow(pci, 'registers', 0, 0, 0x100).length).toBe(0x100);
    for (const [offset, length] of [
      [1, 0x100],
      [0x100, 1],
      [0, 0x101],
    ] as const)
      expect(() => new RegisterWindow(pci, 'registers', 0, offset, length)).toThrow(/BAR 0, which maps 256 bytes/);
    for (const index of [1, 6, 7])
      expect(() => new RegisterWindow(pci, 'registers', index, 0, 1)).toThrow(/maps nothing/);
  });
});
