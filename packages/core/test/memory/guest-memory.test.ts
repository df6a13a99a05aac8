import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';

describe('GuestMemory', () => {
  it('never allocates page 0, which a legacy queue could not name', () => {
    const memory = new GuestMemory(new ArrayBuffer(4 * PAGE_SIZE));
    expect(memory.allocate(3 * PAGE_SIZE)).toBe(PAGE_SIZE);
    expect(() => memory.allocate(1)).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
  });

  it('zeroes what it allocates, and only that', () => {
    const memory = new GuestMemory(new ArrayBuffer(4 * PAGE_SIZE));
    memory.u8.fill(0xff);
    const address = memory.allocate(100, 16);
    expect(memory.u8.subarray(address, address + 100).every((byte) => byte === 0)).toBe(true);
    expect([memory.u8[address - 1], memory.u8[address + 100]]).toEqual([0xff, 0xff]);
  });

  it('counts what is allocated', () => {
    const memory = new GuestMemory(new ArrayBuffer(4 * PAGE_SIZE));
    const address = memory.allocate(100);
    expect(memory.allocated).toBe(100);
    memory.free(address);
    expect(memory.allocated).toBe(0);
  });

  it('shows the same bytes through every view', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(PAGE_SIZE));
    memory.u32[1] = 0x0403_0201;
    expect([...memory.u8.subarray(4, 8), memory.u16[2], memory.u16[3]]).toEqual([1, 2, 3, 4, 0x0201, 0x0403]);
    expect(memory.view.getUint32(4, true)).toBe(0x0403_0201);
  });

  it('tells which allocation an address lies in', () => {
    const memory = new GuestMemory(new ArrayBuffer(4 * PAGE_SIZE));
    const address = memory.allocate(100);
    expect(memory.allocationAt(address + 99)).toEqual({ address, length: 100 });
    expect(memory.allocationAt(address + 100)).toBeUndefined();
    memory.free(address);
    expect(memory.allocationAt(address)).toBeUndefined();
  });

  it('knows what lies inside', () => {
    const memory = new GuestMemory(new ArrayBuffer(PAGE_SIZE));
    expect(memory.contains(0, PAGE_SIZE)).toBe(true);
    for (const [address, length] of [
      [1, PAGE_SIZE],
      [-1, 1],
      [0, -1],
      [PAGE_SIZE, 1],
      [Number.NaN, 1],
      [2 ** 53, 1],
    ] as const) {
      expect(memory.contains(address, length)).toBe(false);
    }
  });

  it.each([0, 1, PAGE_SIZE + 1])('throws RangeError for %d bytes', (bytes) => {
    expect(() => new GuestMemory(new ArrayBuffer(bytes))).toThrow(RangeError);
  });
});
