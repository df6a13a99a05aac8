import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HOSTILE_CASES } from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';
import { casesWithoutTest } from '../mutations/case-tests.ts';
import { applyMutation } from '../mutations/mutation.ts';
import { MUTATIONS } from '../mutations/mutations.ts';

const PACKAGES = fileURLToPath(new URL('../../', import.meta.url));
const NUMBERS = HOSTILE_CASES.map(({ number }) => number);

const range = (prefix: string, last: number, digits: number): string[] =>
  Array.from({ length: last }, (_, i) => prefix + String(i + 1).padStart(digits, '0'));

describe('the catalogue of hostile cases', () => {
  it('has every number once, in order', () => {
    expect(NUMBERS).toEqual([...range('V', 52, 2), ...range('D', 46, 2), ...range('M', 9, 1), ...range('R-', 15, 2)]);
    expect(new Set(HOSTILE_CASES.map(({ summary }) => summary)).size).toBe(122);
  });

  it('has a test named by each number', () => {
    expect(casesWithoutTest(NUMBERS)).toEqual([]);
  });

  it('has a mutation for each number, and no mutation is for a number that it does not have', () => {
    const mutated = new Set(MUTATIONS.flatMap(({ cases }) => cases));
    expect(NUMBERS.filter((number) => !mutated.has(number))).toEqual([]);
    expect([...mutated].filter((number) => !NUMBERS.includes(number))).toEqual([]);
  });
});

describe('the mutations', () => {
  it.each(MUTATIONS.map((mutation) => ({ title: `${mutation.file}: ${mutation.name}`, mutation })))(
    'fit their source: $title',
    ({ mutation }) => {
      const source = readFileSync(PACKAGES + mutation.file, 'utf8');
      expect(applyMutation(source, mutation)).toBeDefined();
      expect(mutation.to).not.toBe(mutation.from);
    },
  );
});
