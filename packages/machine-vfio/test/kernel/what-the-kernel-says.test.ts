import { isCodedError } from '@virtio-platform/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseType1Info } from '../../src/container/kernel-type1-container.ts';
import { mappableParts } from '../../src/device/device-region.ts';
import { checkPageSize } from '../../src/kernel/sized-structure.ts';

/** A struct vfio_iommu_type1_info with page sizes and one capability, the ranges. */
function type1Info(pageSizes: number, ranges: readonly (readonly [bigint, bigint])[], count = ranges.length): DataView {
  const info = new DataView(new ArrayBuffer(40 + 16 * ranges.length));
  info.setUint32(4, 3, true);
  info.setUint32(8, pageSizes, true);
  info.setUint32(16, 24, true);
  info.setUint16(24, 1, true);
  info.setUint32(32, count, true);
  ranges.forEach(([start, end], i) => {
    info.setBigUint64(40 + 16 * i, start, true);
    info.setBigUint64(48 + 16 * i, end, true);
  });
  return info;
}

describe('what the kernel says of its IOMMU', () => {
  it('C3 is no range where every range is reserved, which the platform then reports', () => {
    expect(parseType1Info(type1Info(4096, [])).iovaRanges).toEqual([]);
    // The first page alone, which is left out.
    expect(parseType1Info(type1Info(4096, [[0n, 4095n]])).iovaRanges).toEqual([]);
    expect(parseType1Info(type1Info(4096, [[0n, 8191n]])).iovaRanges).toEqual([{ start: 4096, end: 8191 }]);
  });

  it.each([0, 1, 2048, 3 * 4096, 2 ** 31, Number.NaN])('refuses a smallest page of %d bytes', (bytes) => {
    expect(() => checkPageSize(bytes)).toThrow(expect.objectContaining({ code: 'ERR_MACHINE_START' }));
  });

  it('is believed only where it is possible, whatever it is', () => {
    const bytes = fc.uint8Array({ minLength: 64, maxLength: 256 });
    const words = fc.tuple(fc.nat(7), fc.integer(), fc.nat(256), fc.nat(4), fc.nat(256));
    fc.assert(
      fc.property(bytes, words, (content, [flags, pageSizes, first, id, next]) => {
        const info = new DataView(Uint8Array.from(content).buffer);
        info.setUint32(4, flags, true);
        info.setInt32(8, pageSizes, true);
        info.setUint32(16, first, true);
        if (first + 8 <= info.byteLength) {
          info.setUint16(first, id, true);
          info.setUint32(first + 4, next, true);
        }
        try {
          const { pageSize, iovaRanges } = parseType1Info(info);
          expect(pageSize).toBeGreaterThanOrEqual(4096);
          let last = 0;
          for (const { start, end } of iovaRanges) {
            expect(start).toBeGreaterThan(last);
            expect(end).toBeGreaterThan(start);
            expect(end).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
            last = end;
          }
        } catch (error) {
          expect(isCodedError(error) && error.code).toBe('ERR_MACHINE_START');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('leads to no part outside of its region', () => {
    const region = fc.record({
      content: fc.uint8Array({ minLength: 48, maxLength: 256 }),
      flags: fc.nat(15),
      first: fc.nat(64),
      size: fc.nat(2 ** 20),
    });
    fc.assert(
      fc.property(region, ({ content, flags, first, size }) => {
        const info = new DataView(Uint8Array.from(content).buffer);
        info.setUint32(4, flags, true);
        info.setUint32(12, first, true);
        for (const part of mappableParts(info, size)) expect(part.offset + part.size).toBeLessThanOrEqual(size);
      }),
      { numRuns: 2000 },
    );
  });
});
