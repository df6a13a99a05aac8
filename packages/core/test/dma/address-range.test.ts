import { rangeAt, type AddressRange } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';

const WINDOW: AddressRange = { what: 'window', kind: 'window', deviceAddress: 0x1000n, length: 0x2000 };
const LAST: AddressRange = {
  what: 'the last page',
  kind: 'interrupts',
  deviceAddress: 2n ** 64n - 4096n,
  length: 4096,
};
const EMPTY: AddressRange = { what: 'nothing', kind: 'pool', deviceAddress: 0x8000n, length: 0 };

describe('rangeAt', () => {
  it.each([
    [0xfffn, undefined],
    [0x1000n, WINDOW],
    [0x2fffn, WINDOW],
    [0x3000n, undefined],
    [0x8000n, undefined],
    [2n ** 64n - 4097n, undefined],
    [2n ** 64n - 1n, LAST],
  ])('finds the range of %s', (address, range) => {
    expect(rangeAt([EMPTY, WINDOW, LAST], address)).toBe(range);
  });
});
