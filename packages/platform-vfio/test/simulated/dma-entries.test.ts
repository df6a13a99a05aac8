import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmaEntries } from '../../src/simulated/pinned-mappings.ts';

const LIMIT = 6;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** What the list has, by its own accessors. */
function listed(entries: DmaEntries): Range[] {
  return Array.from({ length: entries.count }, (_, i) => {
    const start = entries.start(i);
    // What else a mapping has goes with it.
    expect([entries.pages(i), entries.process(i)]).toEqual([start + 1, start % 3]);
    return { start, end: entries.end(i) };
  });
}

describe('DmaEntries', () => {
  it('is a sorted list, whichever mappings come and go', () => {
    const step = fc.oneof(
      fc.record({ start: fc.nat(20), size: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ at: fc.nat(LIMIT), count: fc.integer({ min: 1, max: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        // The arrays grow meanwhile.
        const entries = new DmaEntries(2);
        let model: Range[] = [];
        for (const one of steps) {
          if ('start' in one) {
            const range = { start: one.start, end: one.start + one.size };
            const index = entries.gapAt(range.start, range.end);
            const isFree = model.every(({ start, end }) => end <= range.start || start >= range.end);
            expect(index >= 0).toBe(isFree);
            if (!isFree || model.length === LIMIT) continue;
            entries.insert(index, range.start, range.end, range.start + 1, range.start % 3);
            model = [...model, range].toSorted((a, b) => a.start - b.start);
          } else {
            const count = Math.min(one.count, Math.max(0, model.length - one.at));
            if (count === 0) continue;
            entries.remove(one.at, count);
            model = model.toSpliced(one.at, count);
          }
          expect(listed(entries)).toEqual(model);
          for (let address = 0; address < 26; address++) {
            const behind = model.findIndex(({ end }) => end > address);
            expect(entries.indexAt(address)).toBe(behind < 0 ? model.length : behind);
          }
        }
      }),
    );
  });

  it('goes round a ring of addresses any number of times', () => {
    const entries = new DmaEntries(LIMIT);
    for (let i = 0; i < 200; i++) {
      const start = (i % 10) * 2;
      entries.insert(entries.gapAt(start, start + 2), start, start + 2, 2, 0);
      if (i >= 3) entries.remove(entries.indexAt(((i - 3) % 10) * 2), 1);
      expect(entries.count).toBe(Math.min(i + 1, 3));
    }
  });
});
