import { formatByteSize, parseByteSize } from '@virtio-platform/core/memory';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('parseByteSize', () => {
  it.each([
    [4096, 4096],
    [4096n, 4096],
    ['512B', 512],
    ['4KiB', 4096],
    ['1MiB', 2 ** 20],
    ['3GiB', 3 * 2 ** 30],
  ])('reads %s as %d bytes', (value, bytes) => {
    expect(parseByteSize(value)).toBe(bytes);
  });

  it.each([0, -1, 1.5, '', '4', '4KB', '4 KiB', '0KiB', '9999999999GiB', null, {}, true])(
    'does not take %j',
    (value) => {
      expect(parseByteSize(value)).toBeUndefined();
    },
  );

  it('reads back what formatByteSize writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (bytes) => {
        expect(parseByteSize(formatByteSize(bytes))).toBe(bytes);
      }),
    );
  });
});
