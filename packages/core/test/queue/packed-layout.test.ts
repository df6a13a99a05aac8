import {
  advance,
  availableFlags,
  FIRST_POSITION,
  isAvailable,
  isUsed,
  packedLayout,
  slotOf,
  usedFlags,
} from '@virtio-platform/core/queue';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('packedLayout', () => {
  it('has 16 bytes for each descriptor and 4 for each event structure (section 2.8.10.1)', () => {
    expect(packedLayout(3)).toEqual({ driverOffset: 48, deviceOffset: 52, totalBytes: 56, alignment: 16 });
    expect(packedLayout(32768).totalBytes).toBe(16 * 32768 + 8);
  });

  it.each([0, -1, 1.5, 32769, NaN])('refuses %d entries', (size) => {
    expect(() => packedLayout(size)).toThrow(RangeError);
  });
});

describe('a position in a packed ring', () => {
  it('starts at slot 0 with wrap counter 1 (section 2.8.1)', () => {
    expect([slotOf(FIRST_POSITION), FIRST_POSITION >> 15]).toEqual([0, 1]);
  });

  it('R-01 toggles its wrap counter behind the last slot, and never before', () => {
    expect(advance(FIRST_POSITION, 2, 3)).toBe(0x8002);
    expect(advance(0x8002, 1, 3)).toBe(0);
    expect(advance(0, 3, 3)).toBe(0x8000);
    expect(advance(FIRST_POSITION, 1, 1)).toBe(0);
    expect(advance(0x8000 | 32767, 1, 32768)).toBe(0);
  });

  it('goes as far in steps as at once, and stays in the ring', () => {
    const size = fc.integer({ min: 1, max: 32768 });
    fc.assert(
      fc.property(size, fc.nat(), fc.nat(), fc.boolean(), (entries, a, b, wrap) => {
        const start = (wrap ? 0x8000 : 0) | (a % entries);
        const first = b % (entries + 1);
        const second = entries - first;
        const there = advance(advance(start, first, entries), second, entries);
        expect(there).toBe(start ^ 0x8000);
        expect(slotOf(advance(start, first, entries))).toBeLessThan(entries);
      }),
    );
  });
});

describe('the flags of a packed descriptor', () => {
  it('are those of section 2.8.1 in either lap', () => {
    expect([availableFlags(0x8000), availableFlags(0)]).toEqual([0x80, 0x8000]);
    expect([usedFlags(0x8000), usedFlags(0)]).toEqual([0x8080, 0]);
  });

  it('mean one thing at most in each lap', () => {
    for (const flags of [0, 0x80, 0x8000, 0x8080]) {
      for (const position of [0, 0x8000]) {
        expect(isAvailable(flags | 7, position)).toBe(flags === availableFlags(position));
        expect(isUsed(flags | 7, position)).toBe(flags === usedFlags(position));
      }
    }
  });
});
