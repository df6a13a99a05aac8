import fc from 'fast-check';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { UnusedMemory } from '../src/unused-memory.ts';
const SIZE = 0x8000;
const RESERVED = 0x2000;

describe('UnusedMemory', () => {
  it('touches neither what is reserved nor what was ever allocated', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(SIZE), RESERVED);
    const address = memory.allocate(0x1003, 1);
    memory.free(address);
    void new UnusedMemory(memory, 0xdead_beef);
    expect(memory.u8.subarray(0, address + 0x1003).every((byte) => byte === 0)).toBe(true);
    expect(memory.u8.subarray(address + 0x1003).every((byte) => byte !== 0)).toBe(true);
  });

  it.each([0, 1, 0x20, 0x41, 0x7f, 0xa5, 0xff])('finds a write of the byte %i whole, whatever the seed', (byte) => {
    for (let seed = 0; seed < 2 ** 32; seed += 0x0101_0101) {
      const memory = new GuestMemory(new SharedArrayBuffer(SIZE), RESERVED);
      const unused = new UnusedMemory(memory, seed);
      memory.u8.fill(byte, 0x4003, 0x4010);
      expect([seed, unused.compare()]).toEqual([seed, { address: 0x4003, length: 13, changed: 13 }]);
    }
  });

  it('finds each changed byte that was never allocated, between allocations of any size', () => {
    const allocation = fc.record({
      length: fc.integer({ min: 1, max: 200 }),
      alignment: fc.constantFrom(1, 2, 64, 512),
    });
    const arrays = { maxLength: 12 };
    fc.assert(
      fc.property(
        fc.array(allocation, arrays),
        fc.array(allocation, arrays),
        fc.integer({ min: 0, max: SIZE - 1 }),
        fc.integer(),
        (before, later, at, word) => {
          const memory = new GuestMemory(new SharedArrayBuffer(SIZE), RESERVED);
          const had = new Uint8Array(SIZE).fill(1, 0, RESERVED);
          const allocate = ({ length, alignment }: { length: number; alignment: number }): void => {
            const address = memory.allocate(length, alignment);
            had.fill(1, address, address + length);
          };
          before.forEach(allocate);
          const unused = new UnusedMemory(memory, word);
          later.forEach(allocate);
          expect(unused.compare()).toBeUndefined();
          memory.u8[at]! ^= 0x10;
          expect(unused.compare()).toEqual(had[at] === 1 ? undefined : { address: at, length: 1, changed: 1 });
        },
      ),
    );
  });
});
