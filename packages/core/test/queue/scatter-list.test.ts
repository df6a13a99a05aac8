import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { ScatterList } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

describe('ScatterList', () => {
  it('keeps readable segments before writable ones', () => {
    const list = new ScatterList(4);
    list.addReadable(0x1000, 16);
    list.addReadable(0x2000, 32);
    list.addWritable(0x3000, 1);
    expect([list.count, list.readable, list.mapped]).toEqual([3, 2, 3]);
    expect([...list.address.subarray(0, 3)]).toEqual([0x1000, 0x2000, 0x3000]);
    expect(() => list.addReadable(0x4000, 1)).toThrow(TypeError);
  });

  it('starts anew after clear', () => {
    const list = new ScatterList(1);
    list.addWritable(0x1000, 0xffff_ffff);
    list.clear();
    list.addReadable(0x1000, 0xffff_ffff);
    expect([list.count, list.readable]).toEqual([1, 1]);
  });

  it('carries the device address of part of a region', () => {
    const memory = new GuestMemory(new ArrayBuffer(4 * PAGE_SIZE));
    const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 1, offset: 1n << 59n });
    const region = mapping.premap(PAGE_SIZE, 100, DmaDirection.Bidirectional);
    const list = new ScatterList(2);
    list.addReadableRegion(region, 10, 90);
    list.addWritableRegion(region, 0, 100);
    expect([...list.words]).toEqual([PAGE_SIZE + 10, 0x0800_0000, PAGE_SIZE, 0x0800_0000]);
    expect([...list.premapped]).toEqual([1, 1]);
    expect(list.mapped).toBe(0);
    expect(() => list.addWritableRegion(region, 1, 100)).toThrow(RangeError);
    expect(() => list.addWritableRegion(region, -1, 1)).toThrow(RangeError);
  });

  it('throws RangeError when it is full', () => {
    const list = new ScatterList(1);
    list.addReadable(0, 1);
    expect(() => list.addWritable(0, 1)).toThrow(RangeError);
  });

  it.each([0, -1, Number.NaN, 0x1_0000_0000])('throws RangeError for a segment of %d bytes', (length) => {
    expect(() => new ScatterList(1).addReadable(0, length)).toThrow(RangeError);
  });

  it('S-08 throws RangeError for a request longer than a used length can say', () => {
    const list = new ScatterList(3);
    list.addReadable(0, 0x8000_0000);
    list.addWritable(0, 0x7fff_ffff);
    expect(() => list.addWritable(0, 1)).toThrow(RangeError);
    expect(list.count).toBe(2);
  });
});
