import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { ProcessMemory } from '../../src/index.ts';

/** The byte of this process at an address. */
function read(address: number): number {
  const found = new Uint8Array(1);
  const file = openSync('/proc/self/mem', 'r');
  readSync(file, found, 0, 1, address);
  closeSync(file);
  return found[0]!;
}

describe('ProcessMemory', () => {
  it('has contiguous process addresses, and maps every other address to the page behind it', () => {
    const memory = ProcessMemory.create(4 * PAGE_SIZE);
    const start = memory.userAddress(0);
    expect(start % PAGE_SIZE).toBe(0);
    expect(memory.userAddress(3 * PAGE_SIZE + 7) - start).toBe(3 * PAGE_SIZE + 7);
    for (const address of [4 * PAGE_SIZE, 5 * PAGE_SIZE, 2 ** 47, 2 ** 63])
      expect(memory.userAddress(address) - start).toBe(4 * PAGE_SIZE);
    expect(memory.userAddress(2 ** 40 + 16) - start).toBe(4 * PAGE_SIZE + 16);
    memory.dispose();
  });

  it('has the same bytes at other addresses once it is relocated, again and again, and a page behind them', () => {
    const memory = ProcessMemory.create(4 * PAGE_SIZE);
    const bytes = new Uint8Array(memory.buffer);
    const seen = new Set([memory.userAddress(0)]);
    for (let i = 1; i <= 3; i++) {
      memory.relocate();
      const start = memory.userAddress(0);
      expect(start % PAGE_SIZE).toBe(0);
      seen.add(start);
      bytes[3 * PAGE_SIZE + 5] = i;
      expect(read(memory.userAddress(3 * PAGE_SIZE + 5))).toBe(i);
      const guard = memory.userAddress(2 ** 47);
      expect(readFileSync('/proc/self/maps', 'utf8')).toMatch(new RegExp(`^${guard.toString(16)}-[0-9a-f]+ ---p`, 'm'));
    }
    expect(seen.size).toBeGreaterThan(2);
    memory.dispose();
    expect(() => memory.relocate()).toThrow(TypeError);
  });

  it('accepts only ranges of whole numbers of 64 bits', () => {
    expect(ProcessMemory.isRange(0, 2 ** 63)).toBe(true);
    expect(ProcessMemory.isRange(2 ** 64 - PAGE_SIZE, PAGE_SIZE)).toBe(true);
    for (const [start, size] of [
      [-1, 1],
      [0.5, 1],
      [0, 0.5],
      [Number.NaN, 1],
      [0, Number.NaN],
      [2 ** 64 - PAGE_SIZE, 2 * PAGE_SIZE],
      [0, -PAGE_SIZE],
      // As 64 bits they would be 0.
      [0, 2 ** 64],
      [2 ** 64, 0],
    ] as const)
      expect(ProcessMemory.isRange(start, size)).toBe(false);
  });
});
