import { describe, expect, it } from 'vitest';
import { IOVA_END, IovaPages } from '../../../src/dma/iommu/iova-pages.ts';
const TOP = IOVA_END / 4096;

describe('IovaPages', () => {
  it('end where the unit translates no further address', () => {
    const pages = new IovaPages(64, 4096, 2 ** 21);
    expect([pages.first, pages.count]).toEqual([448, 64]);
    expect(new IovaPages(1024, 4096, 2 ** 21).first).toBe(1);
  });

  it('allocates from 2 GiB downward', () => {
    const pages = new IovaPages(64);
    expect([1, 2, 1].map((count) => pages.take(count, 1, 0))).toEqual([TOP - 1, TOP - 3, TOP - 4]);
    expect(pages.takenCount).toBe(4);
  });

  it('reuses a page as late as possible', () => {
    const pages = new IovaPages(4);
    const first = pages.take(1, 1, 0);
    pages.give(first, 1);
    expect(Array.from({ length: 3 }, () => pages.take(1, 1, 0))).toEqual([TOP - 2, TOP - 3, TOP - 4]);
    expect(pages.take(1, 1, 0)).toBe(first);
    expect(pages.take(1, 1, 0)).toBe(-1);
  });

  it('finds a run across the place where the last search ended', () => {
    const pages = new IovaPages(8);
    const taken = Array.from({ length: 8 }, () => pages.take(1, 1, 0));
    for (const page of taken) pages.give(page, 1);
    pages.take(3, 1, 0);
    pages.give(TOP - 3, 3);
    expect(pages.take(6, 1, 0)).toBeGreaterThanOrEqual(TOP - 8);
    expect(pages.take(3, 1, 0)).toBe(-1);
  });

  it('aligns runs, also with a remainder', () => {
    const pages = new IovaPages(4096);
    pages.take(1, 1, 0);
    expect(pages.take(4, 4, 0) % 4).toBe(0);
    expect(pages.take(600, 512, 7) % 512).toBe(7);
    expect(pages.take(4097, 1, 0)).toBe(-1);
  });

  it('never allocates page 0', () => {
    const pages = new IovaPages(TOP);
    expect(pages.count).toBe(TOP - 1);
    expect([pages.take(TOP, 1, 0), pages.take(TOP - 1, 1, 0), pages.take(1, 1, 0)]).toEqual([-1, 1, -1]);
  });

  it('has pages of any size', () => {
    const pages = new IovaPages(4, 0x1_0000);
    expect([pages.first, pages.take(1, 1, 0)]).toEqual([0x7ffc, 0x7fff]);
  });

  it('marks pages stale until they are fresh', () => {
    const pages = new IovaPages(16);
    const page = pages.take(4, 1, 0);
    pages.markStale(page, 2);
    pages.markStale(page, 2);
    expect([pages.staleCount, pages.isStale(page), pages.isStale(page + 2), pages.isStale(5)]).toEqual([
      2,
      true,
      false,
      false,
    ]);
    pages.markFresh(page, 4);
    expect([pages.staleCount, pages.isStale(page)]).toEqual([0, false]);
  });
});
