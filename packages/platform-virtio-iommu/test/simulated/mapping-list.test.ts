import { describe, expect, it } from 'vitest';
import { allocateIommuState, GENERATION } from '../../src/simulated/iommu-state.ts';
import { MappingList, NOT_MAPPED } from '../../src/simulated/mapping-list.ts';

describe('the mappings of a domain', () => {
  it('are found by any of their pages, and by no other', () => {
    const list = new MappingList(allocateIommuState(8, []));
    list.add(100, 103, 7, 3);
    list.add(10, 10, 9, 1);
    list.add(104, 104, 20, 2);
    expect(list.find(102)).not.toBe(NOT_MAPPED);
    expect([list.frame, list.flags, list.pages]).toEqual([9, 3, 2]);
    expect(list.find(104)).not.toBe(NOT_MAPPED);
    expect([list.frame, list.flags, list.pages]).toEqual([20, 2, 1]);
    for (const page of [0, 9, 11, 99, 105, 2 ** 52 - 1]) expect([page, list.find(page)]).toEqual([page, NOT_MAPPED]);
  });

  it('overlap or do not', () => {
    const list = new MappingList(allocateIommuState(8, []));
    list.add(10, 19, 0, 3);
    const seen = [
      [0, 9],
      [20, 30],
      [0, 10],
      [19, 19],
      [0, 99],
      [12, 13],
    ].map(([a, b]) => list.overlaps(a!, b!));
    expect(seen).toEqual([false, false, true, true, true, true]);
  });

  it('are removed whole, all of a range or none', () => {
    const state = allocateIommuState(8, []);
    const list = new MappingList(state);
    for (const first of [0, 10, 20]) list.add(first, first + 4, first, 3);
    const generation = (): number => new Int32Array(state.control)[GENERATION]!;
    const before = generation();
    expect([list.remove(0, 12), list.remove(12, 30), list.remove(5, 9), list.count]).toEqual([false, false, true, 3]);
    expect(generation()).toBe(before);
    expect([list.remove(0, 15), list.count, list.find(20) !== NOT_MAPPED]).toEqual([true, 1, true]);
    expect(generation()).not.toBe(before);
  });

  it('are no more than there is room for', () => {
    const list = new MappingList(allocateIommuState(2, []));
    expect([list.add(1, 1, 1, 1), list.add(0, 0, 1, 1), list.add(3, 3, 1, 1)]).toEqual([true, true, false]);
    expect(list.count).toBe(2);
  });

  it('are what a simple model of them says, after random changes', () => {
    const list = new MappingList(allocateIommuState(64, []));
    const model = new Map<number, number>();
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    for (let i = 0; i < 5000; i++) {
      const first = random(200);
      const last = first + random(4);
      const pages = Array.from({ length: last - first + 1 }, (_, at) => first + at);
      const inside = pages.map((page) => model.get(page)).filter((start) => start !== undefined);
      if (random(2) === 0) {
        expect(list.overlaps(first, last)).toBe(inside.length > 0);
        if (inside.length === 0 && list.add(first, last, first * 2, 3))
          for (const page of pages) model.set(page, first);
        continue;
      }
      const isWhole = [...model].every(([page, start]) => !inside.includes(start) || pages.includes(page));
      expect(list.remove(first, last)).toBe(isWhole);
      if (isWhole) for (const page of pages) model.delete(page);
    }
    for (let page = 0; page < 210; page++) expect(list.find(page) !== NOT_MAPPED).toBe(model.has(page));
  });
});
