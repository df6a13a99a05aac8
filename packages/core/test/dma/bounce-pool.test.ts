import { BOUNCE_SEGMENT_SLOTS, BOUNCE_SLOT_SIZE, BouncePool } from '@virtio-platform/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const SEGMENT = BOUNCE_SLOT_SIZE * BOUNCE_SEGMENT_SLOTS;
const slotsOf = (length: number): number => Math.ceil(length / BOUNCE_SLOT_SIZE);

describe('BouncePool', () => {
  it('takes at most 256 KiB in one piece', () => {
    const pool = new BouncePool(2 * SEGMENT);
    expect(SEGMENT).toBe(256 * 1024);
    expect(pool.take(SEGMENT + 1)).toBe(-1);
    expect(pool.take(SEGMENT)).toBe(0);
    expect(pool.take(SEGMENT)).toBe(BOUNCE_SEGMENT_SLOTS);
    expect(pool.take(1)).toBe(-1);
    expect(pool.statistics).toEqual({ slots: 256, used: 256, highWater: 256, exhausted: 1 });
  });

  it('hands out runs of one segment that never overlap, and finds a run wherever there is one', () => {
    const step = fc.oneof(
      fc.integer({ min: 1, max: SEGMENT }),
      fc.integer({ min: 1, max: 8 * BOUNCE_SLOT_SIZE }),
      fc.constant(0),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.tuple(step, fc.nat(50)), { maxLength: 80 }),
        (segments, steps) => {
          const pool = new BouncePool(segments * SEGMENT);
          const owner = new Int32Array(pool.slots).fill(-1);
          const live = new Map<number, number>();
          let highWater = 0;
          for (const [n, [length, which]] of steps.entries()) {
            if (length === 0 || n % 3 === 2) {
              const first = [...live.keys()][which % Math.max(live.size, 1)];
              if (first === undefined) continue;
              pool.give(first, live.get(first)!);
              owner.fill(-1, first, first + slotsOf(live.get(first)!));
              live.delete(first);
            } else {
              const first = pool.take(length);
              const count = slotsOf(length);
              if (first < 0) {
                expect(hasRun(owner, count)).toBe(false);
                continue;
              }
              expect(owner.subarray(first, first + count).every((id) => id === -1)).toBe(true);
              expect(Math.floor(first / BOUNCE_SEGMENT_SLOTS)).toBe(
                Math.floor((first + count - 1) / BOUNCE_SEGMENT_SLOTS),
              );
              owner.fill(n, first, first + count);
              live.set(first, length);
            }
            const used = owner.filter((id) => id !== -1).length;
            highWater = Math.max(highWater, used);
            expect(pool.statistics).toMatchObject({ used, highWater });
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('finds the one free slot, wherever it is and wherever the search starts', () => {
    for (const start of [0, 1, 64, 127]) {
      const pool = new BouncePool(SEGMENT);
      for (let slot = 0; slot < BOUNCE_SEGMENT_SLOTS; slot++) pool.take(1);
      pool.give(start, 1);
      pool.take(1);
      for (let slot = 0; slot < BOUNCE_SEGMENT_SLOTS; slot++) {
        pool.give(slot, 1);
        expect(pool.take(1)).toBe(slot);
        pool.give(start, 1);
        expect(pool.take(1)).toBe(start);
      }
    }
  });

  it('uses slots again as late as possible', () => {
    const pool = new BouncePool(SEGMENT);
    const seen = Array.from({ length: BOUNCE_SEGMENT_SLOTS }, () => {
      const slot = pool.take(1);
      pool.give(slot, 1);
      return slot;
    });
    expect(seen).toEqual([...seen.keys()]);
  });

  it.each([0, SEGMENT - 1, SEGMENT + BOUNCE_SLOT_SIZE])('throws RangeError for a pool of %d bytes', (bytes) => {
    expect(() => new BouncePool(bytes)).toThrow(RangeError);
  });
});

function hasRun(owner: Int32Array, count: number): boolean {
  for (let segment = 0; segment < owner.length; segment += BOUNCE_SEGMENT_SLOTS) {
    for (let first = segment, run = 0; first < segment + BOUNCE_SEGMENT_SLOTS; first++) {
      run = owner[first] === -1 ? run + 1 : 0;
      if (run === count) return true;
    }
  }
  return false;
}
