import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { openDescriptorTable, openSplitRing, swap16, swap32 } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

const SIZE = 4;
const DRIVER = 0x100;
const DEVICE = 0x200;

function newMemory(): GuestMemory {
  return new GuestMemory(new ArrayBuffer(PAGE_SIZE));
}

const bytesAt = (memory: GuestMemory, at: number, length: number): number[] => [...memory.u8.subarray(at, at + length)];

describe('openDescriptorTable', () => {
  it.each([
    ['little', [8, 7, 6, 5, 4, 3, 2, 1, 0xd, 0xc, 0xb, 0xa, 3, 0, 2, 0x80]],
    ['big', [1, 2, 3, 4, 5, 6, 7, 8, 0xa, 0xb, 0xc, 0xd, 0, 3, 0x80, 2]],
  ] as const)('lays a descriptor out %s-endian', (order, bytes) => {
    const memory = newMemory();
    const table = openDescriptorTable(order, memory, 64);
    table.write(2, 0x0506_0708, 0x0102_0304, 0x0a0b_0c0d, 3, 0x8002);
    expect(bytesAt(memory, 64 + 32, 16)).toEqual(bytes);
    expect(bytesAt(memory, 64, 32).every((byte) => byte === 0)).toBe(true);
    const fields = [table.low(2), table.high(2), table.length(2), table.flags(2), table.next(2)];
    expect(fields).toEqual([0x0506_0708, 0x0102_0304, 0x0a0b_0c0d, 3, 0x8002]);
  });
});

describe('openSplitRing', () => {
  it.each(['little', 'big'] as const)('puts every field of a %s-endian ring where section 2.7 has it', (order) => {
    const memory = newMemory();
    const ring = openSplitRing(order, memory, DRIVER, DEVICE, SIZE);
    ring.writeAvailFlags(0x0102);
    ring.publishAvailIdx(0x0304);
    ring.writeAvailEntry(3, 0x0506);
    ring.writeUsedEvent(0x0708);
    ring.writeUsedFlags(0x1112);
    ring.publishUsedIdx(0x1314);
    ring.writeUsedElement(1, 0x2122_2324, 0x8182_8384);
    ring.writeAvailEvent(0x1516);
    const view = new DataView(memory.buffer);
    const little = order === 'little';
    const u16 = (at: number): number => view.getUint16(at, little);
    expect([u16(DRIVER), u16(DRIVER + 2), u16(DRIVER + 4 + 6), u16(DRIVER + 4 + 8)]).toEqual([
      0x0102, 0x0304, 0x0506, 0x0708,
    ]);
    expect([u16(DEVICE), u16(DEVICE + 2), u16(DEVICE + 4 + 8 * SIZE)]).toEqual([0x1112, 0x1314, 0x1516]);
    expect([view.getUint32(DEVICE + 12, little), view.getUint32(DEVICE + 16, little)]).toEqual([
      0x2122_2324, 0x8182_8384,
    ]);
    expect([ring.availFlags(), ring.availIdx(), ring.availEntry(3), ring.usedEvent()]).toEqual([
      0x0102, 0x0304, 0x0506, 0x0708,
    ]);
    expect([ring.usedFlags(), ring.usedIdx(), ring.usedId(1), ring.usedLength(1), ring.availEvent()]).toEqual([
      0x1112, 0x1314, 0x2122_2324, 0x8182_8384, 0x1516,
    ]);
  });
});

describe('swap16 and swap32', () => {
  it('reverse the bytes, unsigned', () => {
    expect([swap16(0x1234), swap16(0xff80), swap16(0x80ff)]).toEqual([0x3412, 0x80ff, 0xff80]);
    expect([swap32(0x1234_5678), swap32(0x0000_00ff), swap32(0xff00_0000)]).toEqual([0x7856_3412, 0xff00_0000, 0xff]);
  });
});
