import { describe, expect, it } from 'vitest';
import { compareBenches } from '../../src/bench/compare-benches.ts';
import { reportOf, resultOf } from './bench-results.ts';

function verdictOf(before: readonly number[], now: readonly number[], cBefore?: number[], cNow?: number[]): string {
  const [was, is] = [resultOf('ends/x', before, cBefore), resultOf('ends/x', now, cNow)];
  return compareBenches(reportOf([was]), reportOf([is])).changes[0]!.verdict;
}

describe('compareBenches', () => {
  it('calls what is outside of the noise slower or faster', () => {
    expect(verdictOf([100, 101], [104, 105])).toBe('slower');
    expect(verdictOf([100, 101], [96, 97])).toBe('faster');
    // Less than three in a hundred is never told from noise.
    expect(verdictOf([100, 100], [102, 102])).toBe('same');
    // Processes that differ by a fifth tell nothing of a tenth.
    expect(verdictOf([100, 120], [110, 110])).toBe('same');
    expect(verdictOf([100, 100], [110, 132])).toBe('same');
  });

  it('takes the ratio to C where both reports have one: a faster machine is no change', () => {
    expect(verdictOf([100], [50], [10], [5])).toBe('same');
    expect(verdictOf([100], [100], [10], [8])).toBe('slower');
    expect(verdictOf([100], [100], [10], [12.5])).toBe('faster');
    expect(verdictOf([100], [110], [10], undefined)).toBe('slower');
  });

  it('says by how much, and which cases are new', () => {
    const before = reportOf([resultOf('ends/a', [40], [10]), resultOf('ends/gone', [1])]);
    const { changes, added } = compareBenches(
      before,
      reportOf([resultOf('ends/a', [60], [12]), resultOf('ends/b', [1])]),
    );
    expect(changes).toEqual([
      { id: 'ends/a', before: 40, now: 60, change: 1.5, changeAgainstC: 1.25, noise: 0.03, verdict: 'slower' },
    ]);
    expect(added).toEqual(['ends/b']);
  });
});
