import { describe, expect, it } from 'vitest';
import { readIovaRanges, findCapability, readWord, writeWord } from '../../src/kernel/sized-structure.ts';
import { mappableParts } from '../../src/device/device-region.ts';

/** Writes the header of a capability: its id and the offset of the next capability. */
function putHeader(structure: DataView, at: number, id: number, next: number): void {
  structure.setUint16(at, id, true);
  structure.setUint32(at + 4, next, true);
}

function structureOf(bytes: number): DataView {
  return new DataView(new ArrayBuffer(bytes));
}

const MMAP = 4;
const CAPABILITIES = 8;

/** A struct vfio_region_info with parts that can be mapped. */
function regionInfo(flags: number, parts: readonly (readonly [number, number])[], count = parts.length): DataView {
  const info = structureOf(48 + parts.length * 16);
  info.setUint32(4, flags, true);
  info.setUint32(12, 32, true);
  putHeader(info, 32, 1, 0);
  info.setUint32(40, count, true);
  parts.forEach(([offset, size], i) => {
    info.setBigUint64(48 + i * 16, BigInt(offset), true);
    info.setBigUint64(56 + i * 16, BigInt(size), true);
  });
  return info;
}

describe('findCapability', () => {
  it('follows the chain, in any order of offsets', () => {
    const structure = structureOf(64);
    putHeader(structure, 40, 1, 16);
    putHeader(structure, 16, 3, 0);
    structure.setUint32(24, 77, true);
    expect(findCapability(structure, 40, 3, 4)!.getUint32(0, true)).toBe(77);
    expect(findCapability(structure, 40, 1, 4)!.byteOffset).toBe(48);
    expect(findCapability(structure, 40, 2, 4)).toBeUndefined();
    expect(findCapability(structure, 0, 1, 4)).toBeUndefined();
  });

  it('ends where the chain leaves the structure, does not end, or has too few bytes', () => {
    const structure = structureOf(64);
    putHeader(structure, 16, 1, 60);
    expect(findCapability(structure, 16, 2, 0)).toBeUndefined();
    expect(findCapability(structure, 4096, 2, 0)).toBeUndefined();
    putHeader(structure, 32, 1, 32);
    expect(findCapability(structure, 32, 2, 0)).toBeUndefined();
    putHeader(structure, 56, 5, 0);
    expect(findCapability(structure, 56, 5, 4)).toBeUndefined();
  });
});

describe('words of 64 bits', () => {
  it.each([0, 4096, 2 ** 32, 2 ** 48 - 4096, Number.MAX_SAFE_INTEGER])('carry %d', (value) => {
    const structure = structureOf(8);
    writeWord(structure, 0, value);
    expect(structure.getBigUint64(0, true)).toBe(BigInt(value));
    expect(readWord(structure, 0)).toBe(value);
  });

  it('carry the last page of 64 bits', () => {
    const structure = structureOf(8);
    writeWord(structure, 0, 2 ** 64 - 4096);
    expect(structure.getBigUint64(0, true)).toBe(2n ** 64n - 4096n);
  });

  it('are read as the largest exact number where they are above it', () => {
    const structure = structureOf(8);
    structure.setBigUint64(0, 2n ** 64n - 1n, true);
    expect(readWord(structure, 0)).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('readIovaRanges', () => {
  it('reads at most the count, and at most the ranges in the structure', () => {
    const structure = structureOf(40);
    [0n, 0xfedf_ffffn, 0xfef0_0000n, 2n ** 64n - 1n].forEach((word, i) =>
      structure.setBigUint64(8 + i * 8, word, true),
    );
    const ranges = [
      { start: 0, end: 0xfedf_ffff },
      { start: 0xfef0_0000, end: Number.MAX_SAFE_INTEGER },
    ];
    expect(readIovaRanges(structure, 2, 8)).toEqual(ranges);
    expect(readIovaRanges(structure, 0xffff_ffff, 8)).toEqual(ranges);
    expect(readIovaRanges(structure, 1, 8)).toEqual(ranges.slice(0, 1));
  });

  it('leaves out ranges that are empty, overlap, or are above the exact numbers', () => {
    const structure = structureOf(64);
    [0n, 0xffffn, 0x8000n, 0x1_ffffn, 9n, 4n, 2n ** 63n, 2n ** 64n - 1n].forEach((word, i) =>
      structure.setBigUint64(i * 8, word, true),
    );
    expect(readIovaRanges(structure, 4, 0)).toEqual([{ start: 0, end: 0xffff }]);
  });
});

describe('mappableParts', () => {
  it('are none without the flag, and the whole region without a list', () => {
    expect(mappableParts(regionInfo(CAPABILITIES, [[0, 4096]]), 16384)).toEqual([]);
    expect(mappableParts(regionInfo(MMAP, [[0, 4096]]), 16384)).toEqual([{ offset: 0, size: 16384 }]);
  });

  it('are the parts of the list that are inside the region', () => {
    const info = regionInfo(MMAP | CAPABILITIES, [
      [0, 4096],
      [8192, 16384],
      [8192, 8192],
    ]);
    expect(mappableParts(info, 16384)).toEqual([
      { offset: 0, size: 4096 },
      { offset: 8192, size: 8192 },
    ]);
  });

  it('are at most the parts in the list', () => {
    expect(mappableParts(regionInfo(MMAP | CAPABILITIES, [[0, 4096]], 0xffff_ffff), 16384)).toHaveLength(1);
  });
});
