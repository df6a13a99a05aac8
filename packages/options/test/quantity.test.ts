import { byteSize, duration } from '@virtio-platform/options';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

function mistakeOf(schema: z.ZodType, source: unknown): { message: string; suggestion: unknown } {
  const issue = schema.safeParse(source).error?.issues[0];
  return { message: issue?.message ?? '', suggestion: issue?.code === 'custom' ? issue.params?.['suggestion'] : null };
}

describe('byteSize', () => {
  it.each([
    ['64MiB', 64 * 2 ** 20],
    ['4KiB', 4096],
    ['1GiB', 2 ** 30],
    ['2TiB', 2 ** 41],
    ['512B', 512],
    [4096, 4096],
    [4096n, 4096],
  ])('reads %s as %d bytes', (source, bytes) => {
    expect(byteSize().parse(source)).toBe(bytes);
  });

  it.each([
    ['64MB', '64MiB'],
    ['64mib', '64MiB'],
    ['64m', '64MiB'],
    ['4k', '4KiB'],
    ['4 KiB', '4KiB'],
    ['4096', '4096B'],
    ['4TB', '4TiB'],
    ['8192TiB', undefined],
    ['4PiB', undefined],
    ['-4KiB', undefined],
    ['1.5GiB', undefined],
    ['', undefined],
    ['9007199254740992KiB', undefined],
    [-1, undefined],
    [4096.5, undefined],
    [2n ** 64n, undefined],
    [true, undefined],
    [null, undefined],
    [undefined, undefined],
  ])('refuses %s and suggests %s', (source, suggestion) => {
    expect(mistakeOf(byteSize(), source)).toEqual({
      message: 'must be a size: a whole number with one of the units B, KiB, MiB, GiB, TiB',
      suggestion,
    });
  });

  it.each([
    [{}, 0, 'must be at least 1B'],
    [{ minimum: 8192 }, '4KiB', 'must be at least 8KiB'],
    [
      { multipleOf: 4096, minimum: 8192, maximum: 2 ** 32 },
      100,
      'must be a multiple of 4KiB, at least 8KiB, at most 4GiB',
    ],
    [{ multipleOf: 512, minimum: 512 }, 0, 'must be a multiple of 512B'],
    [{ powerOfTwo: true, maximum: 2 ** 20 }, '3KiB', 'must be a power of two, at most 1MiB'],
    [{ maximum: 2 ** 47 }, '129TiB', 'must be at least 1B, at most 128TiB'],
  ])('holds %j against %s', (limits, source, message) => {
    expect(mistakeOf(byteSize(limits), source).message).toBe(message);
  });

  it('is described for editors, and required where it has no default', () => {
    const schema = z.strictObject({ memory: byteSize(), pool: byteSize({ minimum: 4096 }).prefault('1MiB') });
    expect(z.toJSONSchema(schema, { target: 'draft-7', io: 'input', unrepresentable: 'any' })).toMatchObject({
      required: ['memory'],
      properties: { pool: { default: '1MiB', anyOf: [{ minimum: 4096 }, { pattern: '^\\d+(B|KiB|MiB|GiB|TiB)$' }] } },
    });
  });
});

describe('duration', () => {
  it.each([
    ['500ms', 500],
    ['5s', 5000],
  ])('reads %s as %d milliseconds', (source, milliseconds) => {
    expect(duration().parse(source)).toBe(milliseconds);
  });

  it.each([
    [5000, undefined],
    ['5000', undefined],
    ['5S', '5s'],
    ['5sec', '5s'],
    ['3 ms', '3ms'],
    ['1h', undefined],
  ])('refuses %s and suggests %s', (source, suggestion) => {
    const message = 'must be a duration: a whole number with one of the units ms, s';
    expect(mistakeOf(duration(), source)).toEqual({ message, suggestion });
  });
});
