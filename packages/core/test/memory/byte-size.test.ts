import { formatByteSize } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';

describe('formatByteSize', () => {
  it.each([
    [1, '1B'],
    [512, '512B'],
    [1536, '1536B'],
    [4096, '4KiB'],
    [65_536, '64KiB'],
    [3 * 2 ** 20, '3MiB'],
    [2 ** 30, '1GiB'],
    [2 ** 40 - 2 ** 30, '1023GiB'],
    [2 ** 40, '1TiB'],
    [3 * 2 ** 40, '3TiB'],
    [0, '0B'],
  ])('writes %d bytes as %s', (bytes, text) => {
    expect(formatByteSize(bytes)).toBe(text);
  });
});
