import { LEGACY_QUEUE_ALIGN, splitLayout } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

const SIZES = Array.from({ length: 16 }, (_, shift) => 2 ** shift);

describe('splitLayout', () => {
  it('gives the vectors that are known from legacy PCI', () => {
    expect(splitLayout(256, LEGACY_QUEUE_ALIGN)).toEqual({
      descriptorBytes: 4096,
      driverBytes: 518,
      deviceBytes: 2054,
      driverOffset: 0x1000,
      deviceOffset: 0x2000,
      totalBytes: 0x3000,
      alignment: 4096,
    });
    expect(splitLayout(128, LEGACY_QUEUE_ALIGN)).toMatchObject({
      driverOffset: 0x800,
      deviceOffset: 0x1000,
      totalBytes: 0x2000,
    });
    expect(splitLayout(1024, LEGACY_QUEUE_ALIGN)).toMatchObject({
      driverOffset: 0x4000,
      deviceOffset: 0x5000,
      totalBytes: 0x8000,
    });
  });

  it.each(SIZES)('follows sections 2.7 and 2.7.2 for %d entries', (size) => {
    for (const queueAlign of [4, LEGACY_QUEUE_ALIGN]) {
      const layout = splitLayout(size, queueAlign);
      expect(layout.descriptorBytes).toBe(16 * size);
      expect(layout.driverBytes).toBe(6 + 2 * size);
      expect(layout.deviceBytes).toBe(6 + 8 * size);
      expect(layout.driverOffset).toBe(layout.descriptorBytes);
      expect(layout.deviceOffset).toBeGreaterThanOrEqual(layout.driverOffset + layout.driverBytes);
      expect(layout.deviceOffset % queueAlign).toBe(0);
      expect(layout.totalBytes).toBeGreaterThanOrEqual(layout.deviceOffset + layout.deviceBytes);
      expect(layout.totalBytes % queueAlign).toBe(0);
      expect(layout.alignment % 16).toBe(0);
    }
  });

  it.each(SIZES)('I7 keeps each used element of %d inside a page where the device needs that', (size) => {
    const layout = splitLayout(size, 4, true);
    expect(layout.deviceOffset).toBeGreaterThanOrEqual(layout.driverOffset + layout.driverBytes);
    expect(layout.deviceOffset % 8).toBe(4);
    expect(layout.totalBytes).toBeGreaterThanOrEqual(layout.deviceOffset + layout.deviceBytes);
    // Elements of 8 bytes at multiples of 8: the region begins at a multiple of its alignment.
    expect((layout.deviceOffset + 4) % 8).toBe(0);
    expect(layout.alignment % 8).toBe(0);
  });

  it.each([0, 3, 255, 65536, -4, 1.5, Number.NaN])('throws RangeError for %d entries', (size) => {
    expect(() => splitLayout(size, 4)).toThrow(RangeError);
  });
});
