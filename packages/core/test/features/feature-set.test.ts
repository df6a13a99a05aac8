import { BLOCK_FEATURES, VIRTIO_BLK_F_FLUSH } from '@virtio-platform/device-block';
import { FeatureSet, NO_DEVICE_FEATURES, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const anyBits = fc.uniqueArray(fc.integer({ min: 0, max: 127 }));

describe('FeatureSet', () => {
  it('holds what it was made of, in ascending order', () => {
    fc.assert(
      fc.property(anyBits, (bits) => {
        expect([...FeatureSet.of(...bits)]).toEqual(bits.toSorted((a, b) => a - b));
      }),
    );
  });

  it('behaves as a set of bits', () => {
    fc.assert(
      fc.property(anyBits, anyBits, fc.integer({ min: 0, max: 127 }), (left, right, bit) => {
        const [a, b] = [FeatureSet.of(...left), FeatureSet.of(...right)];
        expect([...a.and(b)]).toEqual([...a].filter((value) => right.includes(value)));
        expect([...a.minus(b)]).toEqual([...a].filter((value) => !right.includes(value)));
        expect(a.with(bit).has(bit)).toBe(true);
        expect(a.without(bit).has(bit)).toBe(false);
        expect(a.has(bit)).toBe(left.includes(bit));
        expect(a.minus(b).and(b).equals(FeatureSet.EMPTY)).toBe(true);
      }),
    );
  });

  it('is not changed by what is made from it', () => {
    const set = FeatureSet.of(1, 2);
    set.with(3).without(1);
    expect([...set]).toEqual([1, 2]);
  });

  it('keeps 128 bits and no more', () => {
    expect([...new FeatureSet((1n << 128n) | (1n << 127n))]).toEqual([127]);
  });

  it.each([-1, 128, 1.5, Number.NaN])('throws RangeError for bit %d', (bit) => {
    expect(() => FeatureSet.of(bit)).toThrow(RangeError);
    expect(() => FeatureSet.EMPTY.has(bit)).toThrow(RangeError);
  });

  it('names its bits for a device type', () => {
    const set = FeatureSet.of(VIRTIO_BLK_F_FLUSH, VIRTIO_F_VERSION_1, 99);
    expect(set.names(BLOCK_FEATURES)).toEqual(['BLK_FLUSH', 'VERSION_1', 'BIT_99']);
    expect(set.names(NO_DEVICE_FEATURES)).toEqual(['BIT_9', 'VERSION_1', 'BIT_99']);
  });
});
