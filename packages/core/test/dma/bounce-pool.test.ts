import { BOUNCE_SEGMENT_SLOTS, BOUNCE_SLOT_SIZE, BouncePool } from '@virtio-platform/core/dma';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const SEGMENT = BOUNCE_SLOT_SIZE * BOUNCE_SEGMENT_SLOTS;
const slotsOf = (length: number): number => Math.ceil(length / BOUNCE_SLOT_SIZE);

/** A pool of one area, asked for slots and not for bytes. */
class SlotPool {
  readonly pool: BouncePool;

  constructor(bytes: number) {
    this.pool = new BouncePool({ bytes });
  }

  take(length: number): number {
    const at = this.pool.take(0, length, 0);
    return at < 0 ? -1 : at / BOUNCE_SLOT_SIZE;
  }

  give(slot: number, length: number): void {
    this.pool.give(slot * BOUNCE_SLOT_SIZE, length);
  }
}

describe('BouncePool', () => {
  it('takes at most 256 KiB in one piece', () => {
    const pool = new SlotPool(2 * SEGMENT);
    expect(SEGMENT).toBe(256 * 1024);
    expect(pool.take(SEGMENT + 1)).toBe(-1);
    expect(pool.take(SEGMENT)).toBe(0);
    expect(pool.take(SEGMENT)).toBe(BOUNCE_SEGMENT_SLOTS);
    expect(pool.take(1)).toBe(-1);
    expect([pool.pool.slots, pool.pool.used]).toEqual([256, 256]);
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
          const pool = new SlotPool(segments * SEGMENT);
          const owner = new Int32Array(pool.pool.slots).fill(-1);
          const live = new Map<number, number>();
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
                expect(hasRun(owner, count, length >= 4096 ? 2 : 1)).toBe(false);
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
            expect(pool.pool.used).toBe(used);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('finds the one free slot, wherever it is and wherever the search starts', () => {
    for (const start of [0, 1, 64, 127]) {
      const pool = new SlotPool(SEGMENT);
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
    const pool = new SlotPool(SEGMENT);
    const seen = Array.from({ length: BOUNCE_SEGMENT_SLOTS }, () => {
      const slot = pool.take(1);
      pool.give(slot, 1);
      return slot;
    });
    expect(seen).toEqual([...seen.keys()]);
  });

  it.each([0, SEGMENT - 1, SEGMENT + BOUNCE_SLOT_SIZE])('throws RangeError for a pool of %d bytes', (bytes) => {
    expect(() => new BouncePool({ bytes })).toThrow(RangeError);
  });
});

/** Whether a segment has `count` free slots from a multiple of `step` on. */
function hasRun(owner: Int32Array, count: number, step: number): boolean {
  for (let first = 0; first < owner.length; first += step) {
    const fits = (first % BOUNCE_SEGMENT_SLOTS) + count <= BOUNCE_SEGMENT_SLOTS;
    if (fits && owner.subarray(first, first + count).every((id) => id === -1)) return true;
  }
  return false;
}

describe('a BouncePool with rules of alignment', () => {
  it('keeps the low bits of an address, and has that much less room in a segment', () => {
    const pool = new BouncePool({ bytes: SEGMENT, minAlignMask: 0xfff });
    expect(pool.maxMappingSize).toBe(252 * 1024);
    for (const address of [0x1_0000, 0x1_0001, 0x1_07ff, 0x1_0800, 0x1_0fff, 0x1_1234])
      expect(pool.take(address, 100, 0) & 0xfff).toBe(address & 0xfff);
    expect(new BouncePool({ bytes: SEGMENT }).take(0x1_0123, 100, 0)).toBe(0);
  });

  it('always finds the longest mapping in an empty pool, whatever its address', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 0x1ff, 0x7ff, 0xfff, 0x3fff), fc.nat(0xf_ffff), (minAlignMask, address) => {
        const pool = new BouncePool({ bytes: SEGMENT, minAlignMask });
        expect(pool.take(address, pool.maxMappingSize, 0)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('gives back what it took, padding and all', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 0x1ff, 0xfff),
        fc.array(fc.tuple(fc.nat(0xffff), fc.integer({ min: 1, max: 9000 })), { minLength: 1, maxLength: 40 }),
        (minAlignMask, buffers) => {
          const pool = new BouncePool({ bytes: 2 * SEGMENT, minAlignMask, areas: 2 });
          const taken = buffers.map(([address, length], i) => [pool.take(address, length, i), length] as const);
          const ranges = taken.filter(([at]) => at >= 0).toSorted(([a], [b]) => a - b);
          for (const [i, [at]] of ranges.entries()) {
            const before = ranges[i - 1];
            if (before !== undefined) expect(at).toBeGreaterThanOrEqual(before[0] + before[1]);
          }
          for (const [at, length] of ranges) pool.give(at, length);
          expect(pool.used).toBe(0);
        },
      ),
    );
  });

  it('starts whole pages at a page where no address has to be kept', () => {
    const pool = new BouncePool({ bytes: SEGMENT });
    expect(pool.take(0, 1, 0)).toBe(0);
    expect(pool.take(0, 4096, 0)).toBe(4096);
    expect(pool.take(0, 4095, 0)).toBe(8192);
  });

  it('never crosses a boundary of the device', () => {
    const boundary = 64 * 1024;
    const pool = new BouncePool({ bytes: SEGMENT, base: 0x7000, boundary });
    expect(pool.maxMappingSize).toBe(boundary);
    for (let at = pool.take(0, 20_000, 0); at >= 0; at = pool.take(0, 20_000, 0)) {
      const first = 0x7000 + at;
      expect(Math.floor(first / boundary)).toBe(Math.floor((first + 20_479) / boundary));
    }
    expect(pool.used).toBeGreaterThan(80);
  });

  it('looks in the area it is asked for first, and in the others when that is full', () => {
    const pool = new BouncePool({ bytes: 4 * SEGMENT, areas: 4 });
    const areaOf = (at: number): number => Math.floor(at / SEGMENT);
    expect([0, 1, 2, 3, 4, 6].map((hint) => areaOf(pool.take(0, 100, hint)))).toEqual([0, 1, 2, 3, 0, 2]);
    expect(areaOf(pool.take(0, SEGMENT, 1))).toBe(-1);
    for (let i = 0; i < BOUNCE_SEGMENT_SLOTS; i++) pool.take(0, 1, 3);
    expect(areaOf(pool.take(0, 1, 3))).toBe(0);
  });

  it.each([
    { areas: 3 },
    { areas: 4, bytes: 2 * SEGMENT },
    { minAlignMask: 0xf0f },
    { minAlignMask: 0xf_ffff },
    { boundary: 5000 },
    { boundary: 2048 },
    { base: 0x800 },
  ])('refuses %j', (options) => {
    expect(() => new BouncePool({ bytes: 3 * SEGMENT, ...options })).toThrow(RangeError);
  });
});
