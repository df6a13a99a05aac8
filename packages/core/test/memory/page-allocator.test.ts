import { PageAllocator } from '@virtio-platform/core/memory';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('PageAllocator', () => {
  it('begins with page 0 and reuses a page as late as possible', () => {
    const pages = new PageAllocator(0, 4, 'upward');
    expect(pages.take(1, 1, 0)).toBe(0);
    pages.give(0, 1);
    expect([pages.take(1, 1, 0), pages.take(1, 1, 0), pages.take(1, 1, 0), pages.take(1, 1, 0)]).toEqual([1, 2, 3, 0]);
    expect(pages.take(1, 1, 0)).toBe(-1);
  });

  it('finds a run that lies across the place where the search began', () => {
    const pages = new PageAllocator(0, 6, 'upward');
    expect(pages.take(3, 1, 0)).toBe(0);
    pages.give(0, 3);
    expect(pages.take(1, 1, 0)).toBe(3);
    pages.give(3, 1);
    expect(pages.take(5, 1, 0)).toBe(0);
  });

  it('takes runs at a multiple of their alignment', () => {
    const pages = new PageAllocator(0, 16, 'upward');
    pages.take(1, 1, 0);
    expect(pages.take(3, 4, 0)).toBe(4);
    expect(pages.take(1, 8, 0)).toBe(8);
    expect(pages.take(1, 16, 0)).toBe(-1);
  });

  it.each(['upward', 'downward'] as const)('leaves out pages that were taken where they are, %s', (order) => {
    const pages = new PageAllocator(10, 6, order);
    pages.takeAt(11, 2);
    pages.takeAt(12, 2);
    expect(pages.takenCount).toBe(3);
    expect([pages.take(3, 1, 0), pages.take(2, 1, 0), pages.take(1, 1, 0), pages.take(1, 1, 0)]).toEqual([
      -1, 14, 10, -1,
    ]);
    for (const [page, count] of [
      [9, 1],
      [15, 2],
      [12, -1],
    ] as const)
      expect(() => pages.takeAt(page, count)).toThrow(RangeError);
  });

  it.each(['upward', 'downward'] as const)(
    'never gives a page twice %s, and fails only when no run is free',
    (order) => {
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 6 })), { maxLength: 80 }), (steps) => {
          const size = 16;
          const pages = new PageAllocator(0, size, order);
          const model = Array<boolean>(size).fill(false);
          const live: [number, number][] = [];
          for (const [takes, count] of steps) {
            if (!takes) {
              const [page, length] = live.splice(count % Math.max(live.length, 1), 1)[0] ?? [0, 0];
              pages.give(page, length);
              model.fill(false, page, page + length);
              continue;
            }
            const isFree = (at: number): boolean => at + count <= size && !model.slice(at, at + count).includes(true);
            const page = pages.take(count, 1, 0);
            expect(page < 0 ? !model.some((_, at) => isFree(at)) : isFree(page)).toBe(true);
            if (page >= 0) {
              model.fill(true, page, page + count);
              live.push([page, count]);
            }
            expect(pages.takenCount).toBe(model.filter(Boolean).length);
          }
        }),
      );
    },
  );
});
