import { DirectDmaMapping, DMA_UNREACHABLE, DmaDirection, probeIdentity } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const { ToDevice } = DmaDirection;
/** Where pseries puts its 64-bit window: it takes bit 59, so no double holds such an address exactly. */
const DDW_OFFSET = 1n << 59n;

function mapOne(offset: bigint, address: number, memory = newMemory()): bigint {
  const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 1, offset });
  const words = new Uint32Array(2);
  expect(mapping.map(address, 1, ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
  return (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
}

function newMemory(): GuestMemory {
  return new GuestMemory(new ArrayBuffer(16 * PAGE_SIZE));
}

describe('DirectDmaMapping', () => {
  it('gives the physical address without an offset', () => {
    expect(mapOne(0n, 0x1234)).toBe(0x1234n);
    expect(mapOne(0n, 0)).toBe(0n);
  });

  it('adds the offset of a 64-bit window to the last bit', () => {
    expect(mapOne(DDW_OFFSET, 0x1235)).toBe(0x0800_0000_0000_1235n);
  });

  it('carries from the low word into the high one', () => {
    expect(mapOne(0xffff_f000n, 0x1000)).toBe(0x1_0000_0000n);
    expect(mapOne(0xffff_f000n, 0x0fff)).toBe(0xffff_ffffn);
    expect(mapOne(0x7_ffff_ffffn, 1)).toBe(0x8_0000_0000n);
  });

  it('gives address plus offset for any offset', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }), fc.nat(16 * PAGE_SIZE - 1), (offset, address) => {
        expect(mapOne(offset, address)).toBe(offset + BigInt(address));
      }),
    );
  });

  it('gives the device addresses of a region in the same way', () => {
    const mapping = new DirectDmaMapping(newMemory(), { path: 'linear', capacity: 1, offset: 0xffff_f000n });
    const words = new Uint32Array(2);
    mapping.premap(PAGE_SIZE, PAGE_SIZE, ToDevice).writeDeviceAddress(5, words, 0);
    expect([...words]).toEqual([5, 1]);
  });

  it('reaches nothing beyond its limit', () => {
    const memory = newMemory();
    const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 1, limit: 2 * PAGE_SIZE });
    const words = new Uint32Array(2);
    expect(mapping.map(2 * PAGE_SIZE - 1, 2, ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
    expect(() => mapping.premap(2 * PAGE_SIZE, 1, ToDevice)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_RANGE' }),
    );
    mapping.allocateCoherent(PAGE_SIZE, 16);
    expect(() => mapping.allocateCoherent(PAGE_SIZE, 16)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
    expect(memory.allocated).toBe(PAGE_SIZE);
    expect(mapping.map(2 * PAGE_SIZE - 2, 2, ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
  });

  it('is recognized by the identity probe, which leaves no mapping', () => {
    const memory = newMemory();
    for (const [offset, identity] of [
      [0n, true],
      [4096n, false],
      [DDW_OFFSET, false],
      [1n << 32n, false],
    ] as const) {
      const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 1, offset });
      expect(probeIdentity(mapping, memory)).toBe(identity);
      expect(mapping.statistics.live).toBe(0);
    }
    expect(memory.allocated).toBe(0);
  });
});

describe('syncing part of a direct mapping', () => {
  it.each(['syncForCpu', 'syncForDevice'] as const)(
    'is refused by %s outside of the mapping, and for a stale id',
    (sync) => {
      const memory = new GuestMemory(new ArrayBuffer(4 * 4096));
      const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
      const id = mapping.map(4096, 100, DmaDirection.Bidirectional, new Uint32Array(2), 0);
      expect(() => mapping[sync](id, 0, 100)).not.toThrow();
      expect(() => mapping[sync](id, 1, 100)).toThrow(RangeError);
      mapping.unmap(id, 0);
      expect(() => mapping[sync](id, 0, 1)).toThrow(RangeError);
    },
  );
});
