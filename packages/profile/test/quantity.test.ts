import { describe, expect, it } from 'vitest';
import { DURATION, parseQuantity, SIZE } from '../src/quantity.ts';

describe('parseQuantity', () => {
  it.each([
    [4096, 4096],
    ['512B', 512],
    ['4KiB', 4096],
    ['16MiB', 16 * 1024 ** 2],
    ['2GiB', 2 * 1024 ** 3],
    ['0B', 0],
  ])('reads the size %s', (source, value) => {
    expect(parseQuantity(source, SIZE)).toEqual({ value });
  });

  it.each([
    ['4KB', '4KiB'],
    ['4k', '4KiB'],
    ['4 KiB', '4KiB'],
    ['64mib', '64MiB'],
    ['1g', '1GiB'],
    ['4096', '4096B'],
  ])('suggests for the size %s', (source, suggestion) => {
    const quantity = parseQuantity(source, SIZE);
    expect(quantity).toMatchObject({ value: undefined, suggestion });
    expect(quantity).toHaveProperty('message', expect.stringContaining('B, KiB, MiB, GiB'));
  });

  it.each([
    ['0.5MiB'],
    ['-1'],
    [-1],
    [1.5],
    ['9999999999999999GiB'],
    [2n ** 63n],
    [true],
    [null],
    ['4XiB'],
    ['toString'],
  ])('refuses the size %s', (source) => {
    expect(parseQuantity(source, SIZE).value).toBeUndefined();
  });

  it('reads durations in milliseconds', () => {
    expect(parseQuantity('5s', DURATION)).toEqual({ value: 5000 });
    expect(parseQuantity('500ms', DURATION)).toEqual({ value: 500 });
  });

  it('requires a unit of a duration', () => {
    expect(parseQuantity(5, DURATION).value).toBeUndefined();
  });
});
