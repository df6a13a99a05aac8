import { describe, expect, it } from 'vitest';
import { interruptRanges, readReservedRegions } from '../../src/unit/reserved-regions.ts';

/** A property: type, length, and the body. */
function property(type: number, length: number, body: readonly number[] = []): number[] {
  return [type & 0xff, type >> 8, length & 0xff, length >> 8, ...body];
}

function region(subtype: number, start: bigint, end: bigint): number[] {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, subtype);
  view.setBigUint64(4, start, true);
  view.setBigUint64(12, end, true);
  return property(1, 20, [...bytes]);
}

describe('the properties of an endpoint', () => {
  it('are its reserved regions, up to the end of the list', () => {
    const bytes = [
      ...region(1, 0xfee0_0000n, 0xfeef_ffffn),
      ...region(0, 0n, 0xfffn),
      ...property(0, 0),
      ...region(0, 1n, 2n),
    ];
    expect(readReservedRegions(Uint8Array.from(bytes))).toEqual([
      { kind: 'msi', start: 0xfee0_0000n, end: 0xfeef_ffffn },
      { kind: 'reserved', start: 0n, end: 0xfffn },
    ]);
  });

  it('of an unknown type are skipped, and so are the reserved bits of a type', () => {
    const bytes = [...property(7, 8, Array(8).fill(0xff)), ...region(9, 0x1000n, 0x1fffn)];
    bytes[13]! |= 0xf0;
    expect(readReservedRegions(Uint8Array.from(bytes))).toEqual([{ kind: 'reserved', start: 0x1000n, end: 0x1fffn }]);
  });

  it.each([
    ['a length beyond the end', property(1, 200, Array(20).fill(0))],
    ['a region that is too short', property(1, 8, Array(8).fill(0))],
    ['an end before the start', region(0, 2n, 1n)],
    ['half a head', [1, 0, 20]],
  ])('with %s give no region', (_what, bytes) => {
    expect(readReservedRegions(Uint8Array.from(bytes))).toEqual([]);
  });
});

describe('the regions of interrupts', () => {
  it('are ranges of exact length, up to the longest that a number holds', () => {
    const regions = [
      { kind: 'msi', start: 0x0802_0000n, end: 0x0802_0fffn },
      { kind: 'reserved', start: 0n, end: 0xfffn },
      { kind: 'msi', start: 0n, end: 2n ** 64n - 1n },
    ] as const;
    const common = { what: 'MSI region of the unit', kind: 'interrupts' };
    expect(interruptRanges(regions)).toEqual([
      { ...common, deviceAddress: 0x0802_0000n, length: 0x1000 },
      { ...common, deviceAddress: 0n, length: 2 ** 53 - 1 },
    ]);
  });
});
