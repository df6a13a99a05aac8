import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placesOf } from '../../src/run/run-part.ts';

const run = fc.record({
  file: fc.constantFrom('a.yaml', 'b.yaml', 'B.yaml', 'ä.yaml'),
  name: fc.string({ maxLength: 2 }),
});

describe('the parts of a plan', () => {
  it('are disjoint and complete, and as large as each other', () => {
    fc.assert(
      fc.property(fc.array(run), fc.integer({ min: 1, max: 9 }), (runs, count) => {
        const parts = Array.from({ length: count }, (_, i) => placesOf(runs, { number: i + 1, count }));
        expect(parts.flat().toSorted((a, b) => a - b)).toEqual(runs.map((_, at) => at));
        const sizes = parts.map(({ length }) => length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        for (const part of parts) expect(part).toEqual(part.toSorted((a, b) => a - b));
      }),
    );
  });

  it('have the same runs, whatever order machines have them in', () => {
    const shuffled = fc
      .uniqueArray(run, { selector: ({ file, name }) => `${file} ${name}` })
      .chain((runs) => fc.tuple(fc.constant(runs), fc.shuffledSubarray(runs, { minLength: runs.length })));
    fc.assert(
      fc.property(shuffled, fc.integer({ min: 1, max: 5 }), ([runs, others], count) => {
        for (let number = 1; number <= count; number++) {
          const part = placesOf(runs, { number, count }).map((at) => runs[at]);
          const other = placesOf(others, { number, count }).map((at) => others[at]);
          expect(new Set(other)).toEqual(new Set(part));
        }
      }),
    );
  });
});
