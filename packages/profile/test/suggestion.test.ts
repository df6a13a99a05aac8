import { describe, expect, it } from 'vitest';
import { closest } from '../src/source/suggestion.ts';
describe('closest', () => {
  it.each([
    ['layut', 'layout'],
    ['laoyut', 'layout'],
    ['LAYOUT', 'layout'],
    ['layoutt', 'layout'],
    ['siez', 'size'],
  ])('takes %s for %s', (word, meant) => {
    expect(closest(word, ['size', 'seed', 'layout'])).toBe(meant);
  });

  it('counts a swap of neighbours as one slip', () => {
    expect(closest('ba', ['ab'])).toBe('ab');
  });

  it('prefers the candidate with the fewest slips', () => {
    expect(closest('queues', ['quotes', 'queue'])).toBe('queue');
  });

  it('finds nothing for a word that is like none', () => {
    expect(closest('matrix', ['machine', 'platform', 'queue'])).toBeUndefined();
  });

  it('does not compare a very long word letter by letter', () => {
    const startedAt = performance.now();
    expect(closest('x'.repeat(1_000_000), Array(1000).fill('layout'))).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });
});
