import { allocateSharedMemory, GuestMemory, PAGE_SIZE, RING_REACH, wideBytes } from '@virtio-platform/core/memory';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';

const GIB = 2 ** 30;

describe('wideBytes', () => {
  it('does what a byte array does', () => {
    const one = new Uint8Array(new SharedArrayBuffer(64));
    const other = wideBytes(new SharedArrayBuffer(64));
    const steps: ((bytes: Uint8Array) => unknown)[] = [
      (bytes) => (bytes[3] = 0x1ff),
      (bytes) => bytes[3],
      (bytes) => bytes[64],
      (bytes) => (bytes[64] = 1),
      (bytes) => bytes.fill(7, 8, 12).length,
      (bytes) => bytes.fill(9, -2).byteLength,
      (bytes) => bytes.set([1, 2, 3], 20),
      (bytes) => bytes.copyWithin(22, 20, 24).byteOffset,
      (bytes) => bytes.copyWithin(60, 0, 40).BYTES_PER_ELEMENT,
      (bytes) => bytes.copyWithin(8, 60, 8).length,
      (bytes) => bytes.subarray(2, 5).byteOffset,
      (bytes) => bytes.slice(-4),
      (bytes) => bytes.subarray(9, 3).length,
      (bytes) => [...bytes.subarray()],
      (bytes) => bytes instanceof Uint8Array,
    ];
    for (const step of steps) expect(step(other)).toEqual(step(one));
  });

  it('refuses what would take an array of all of it', () => {
    const bytes = wideBytes(new SharedArrayBuffer(64));
    expect(() => bytes.set([1, 2], 63)).toThrow(RangeError);
    expect(() => bytes.indexOf(1)).toThrow('take a subarray');
  });
});

describe('GuestMemory of more than 4 GiB', () => {
  it('is written and read through every view, also where this Node has no byte array so long', () => {
    const memory = new GuestMemory(allocateSharedMemory(8 * GIB));
    const address = memory.allocate(PAGE_SIZE);
    expect(address).toBeGreaterThanOrEqual(4 * GIB);
    memory.u32[address / 4] = 0x0403_0201;
    Atomics.store(memory.u16, address / 2 + 2, 0x0605);
    memory.u8[address + 6] = 7;
    expect([...memory.u8.subarray(address, address + 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 0]);
    const last = 8 * GIB - 8;
    memory.u8.set([9, 8], last);
    expect([memory.view.getUint16(last, true), memory.u16[last / 2]]).toEqual([0x0809, 0x0809]);
  });

  it('has rings where their fields can be polled, and buffers above', () => {
    const memory = new GuestMemory(allocateSharedMemory(10 * GIB));
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 1 });
    const low = mapping.allocateCoherent(PAGE_SIZE, PAGE_SIZE);
    expect(low.address).toBeGreaterThanOrEqual(4 * GIB);
    expect(low.address + PAGE_SIZE).toBeLessThanOrEqual(RING_REACH);
    const last = 10 * GIB - PAGE_SIZE;
    memory.u8.fill(3, last);
    expect(memory.u8.subarray(last).every((byte) => byte === 3)).toBe(true);
    const words = new Uint32Array(2);
    expect(mapping.map(last, PAGE_SIZE, 0, words, 0)).toBeGreaterThanOrEqual(0);
    expect([...words]).toEqual([last % 2 ** 32, 2]);
  });
});
