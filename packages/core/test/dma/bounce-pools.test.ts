import { DmaError } from '@virtio-platform/core';
import {
  BOUNCE_SLOT_SIZE,
  BouncePools,
  DirectDmaMapping,
  type BouncePoolsOptions,
  type DmaRegion,
} from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const SEGMENT = 256 * 1024;

interface SetUp {
  readonly pools: BouncePools;
  /** The regions of the pools, in the order in which they were added. */
  readonly regions: DmaRegion[];
  /** The sizes that were asked for. */
  readonly asked: number[];
}

/** Pools in a guest of `bytes`; device addresses are physical. */
function setUp(options: BouncePoolsOptions, bytes = 16 * SEGMENT): SetUp {
  const mapping = new DirectDmaMapping(new GuestMemory(new ArrayBuffer(bytes)), { path: 'identity', capacity: 1 });
  const [regions, asked]: [DmaRegion[], number[]] = [[], []];
  const pools = new BouncePools(options, (size) => {
    asked.push(size);
    const region = mapping.allocateCoherent(size, PAGE_SIZE);
    regions.push(region);
    return region;
  });
  return { pools, regions, asked };
}

describe('BouncePools', () => {
  it('has one pool where nothing says more, and counts what it could not give', () => {
    const { pools, regions } = setUp({ bytes: SEGMENT });
    const copy = pools.take(0, SEGMENT, 0);
    expect(copy).toBe(regions[0]!.address);
    expect(pools.take(0, 1, 0)).toBe(-1);
    expect(pools.statistics).toEqual({ slots: 128, used: 128, highWater: 128, exhausted: 1 });
    pools.give(copy, SEGMENT);
    expect(pools.statistics).toEqual({ slots: 128, used: 0, highWater: 128, exhausted: 1 });
  });

  it('adds a pool as large as the first where none has room, until all have the limit', () => {
    const { pools, asked } = setUp({ bytes: SEGMENT, limit: 3 * SEGMENT });
    const copies = [0, 1, 2].map(() => pools.take(0, SEGMENT, 0));
    expect(copies.every((copy) => copy >= 0)).toBe(true);
    expect(pools.take(0, 1, 0)).toBe(-1);
    expect(asked).toEqual([SEGMENT, SEGMENT, SEGMENT]);
    expect(pools.statistics).toEqual({ slots: 384, used: 384, highWater: 384, exhausted: 1 });
    expect(pools.addressRanges).toHaveLength(3);
    // The pools that were added stay, and are used again.
    for (const copy of copies) pools.give(copy, SEGMENT);
    expect(pools.statistics).toEqual({ slots: 384, used: 0, highWater: 384, exhausted: 1 });
    expect(pools.take(0, 1, 0)).toBe(copies[0]);
  });

  it('adds what is left up to the limit where that is less than the first pool', () => {
    const { pools, asked } = setUp({ bytes: 2 * SEGMENT, limit: 3 * SEGMENT });
    for (let i = 0; i < 3; i++) expect(pools.take(0, SEGMENT, 0)).toBeGreaterThanOrEqual(0);
    expect(asked).toEqual([2 * SEGMENT, SEGMENT]);
  });

  it('adds a smaller pool where memory has no room for a large one, and asks no more once there is none', () => {
    // Memory of 16 segments: 8 for the first pool, and half of the rest is what fits.
    const { pools, asked } = setUp({ bytes: 8 * SEGMENT, limit: 64 * SEGMENT }, 15 * SEGMENT);
    for (let i = 0; i < 12; i++) expect(pools.take(0, SEGMENT, 0)).toBeGreaterThanOrEqual(0);
    expect(asked).toEqual([8, 8, 4].map((segments) => segments * SEGMENT));
    for (let i = 0; i < 5; i++) expect(pools.take(0, SEGMENT, 0)).toBe(-1);
    expect(asked).toEqual([8, 8, 4, 8, 4].map((segments) => segments * SEGMENT));
    expect(pools.statistics.exhausted).toBe(5);
  });

  it('never grows for a buffer that is longer than a segment', () => {
    const { pools, asked } = setUp({ bytes: SEGMENT, limit: 4 * SEGMENT });
    expect(pools.take(0, SEGMENT + 1, 0)).toBe(-1);
    expect(pools.takeAligned(SEGMENT + 1, PAGE_SIZE)).toBe(-1);
    expect(asked).toEqual([SEGMENT]);
  });

  it.each([
    [64, 15, true, [64, 32, 16, 8]],
    [8, 15, true, [8]],
  ])('halves a first pool of %d segments in a guest of %d', (segments, guest, halves, sizes) => {
    const { asked } = setUp({ bytes: segments * SEGMENT, halves }, guest * SEGMENT);
    expect(asked).toEqual(sizes.map((size) => size * SEGMENT));
  });

  it.each([
    [{ bytes: 64 * SEGMENT }, [64]],
    // 1 MiB is the least that Linux makes.
    [{ bytes: 8 * SEGMENT, halves: true }, [8, 4]],
  ])('throws ERR_DMA_EXHAUSTED for a first pool that does not fit: %o', (options, sizes) => {
    const asked: number[] = [];
    const refuse = (size: number): never => {
      asked.push(size / SEGMENT);
      throw new DmaError('ERR_DMA_EXHAUSTED', `no ${size} bytes`);
    };
    expect(() => new BouncePools(options, refuse)).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    expect(asked).toEqual(sizes);
  });

  it('passes on an error other than ERR_DMA_EXHAUSTED', () => {
    const wrong = new TypeError('a bug');
    let calls = 0;
    const mapping = new DirectDmaMapping(new GuestMemory(new ArrayBuffer(2 ** 20)), { path: 'identity', capacity: 1 });
    const pools = new BouncePools({ bytes: SEGMENT, limit: 2 * SEGMENT }, (size) => {
      if (calls++ > 0) throw wrong;
      return mapping.allocateCoherent(size, PAGE_SIZE);
    });
    pools.take(0, SEGMENT, 0);
    expect(() => pools.take(0, 1, 0)).toThrow(wrong);
  });

  it('begins a ring at its alignment, beside the slots of buffers', () => {
    const { pools } = setUp({ bytes: SEGMENT });
    const buffer = pools.take(0, 100, 0);
    const ring = pools.takeAligned(3 * PAGE_SIZE, PAGE_SIZE);
    expect(ring % PAGE_SIZE).toBe(0);
    expect(ring).toBeGreaterThan(buffer);
    expect(pools.statistics.used).toBe(7);
    pools.give(ring, 3 * PAGE_SIZE);
    expect(pools.statistics.used).toBe(1);
  });

  it('finds every copy again, and never gives two that overlap', () => {
    const step = fc.tuple(fc.boolean(), fc.integer({ min: 1, max: SEGMENT }), fc.nat(40));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { pools, regions } = setUp({ bytes: SEGMENT, limit: 4 * SEGMENT });
        const live: [copy: number, length: number][] = [];
        for (const [takes, length, which] of steps) {
          if (takes) {
            const copy = pools.take(0, length, 0);
            if (copy < 0) continue;
            const at = regions.findIndex((region) => copy >= region.address && copy < region.address + region.length);
            const region = regions[at]!;
            expect(copy + length).toBeLessThanOrEqual(region.address + region.length);
            for (const [other, bytes] of live) expect(copy + length <= other || copy >= other + bytes).toBe(true);
            const words = new Uint32Array(2);
            pools.writeDeviceAddress(copy, words, 0);
            expect(words[0]).toBe(copy);
            expect(pools.slotAt(copy)).toBe(at * 128 + (copy - region.address) / BOUNCE_SLOT_SIZE);
            live.push([copy, length]);
          } else if (live.length > 0) {
            const [[copy, bytes]] = live.splice(which % live.length, 1) as [[number, number]];
            pools.give(copy, bytes);
          }
        }
        for (const [copy, bytes] of live) pools.give(copy, bytes);
        expect(pools.statistics.used).toBe(0);
        expect(pools.slotAt(regions[0]!.address - 1)).toBe(-1);
      }),
      { numRuns: 100 },
    );
  });
});
