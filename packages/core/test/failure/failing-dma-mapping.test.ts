import { DirectDmaMapping, DMA_NO_SPACE, DmaDirection } from '@virtio-platform/core/dma';
import { FailingDmaMapping, FailurePlan, type DmaFailures } from '@virtio-platform/core/failure';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';

function open(failures: Partial<DmaFailures>, addressBits = 64): FailingDmaMapping {
  const memory = new GuestMemory(new SharedArrayBuffer(0x4_0000));
  const inner = new DirectDmaMapping(memory, { path: 'physical', capacity: 16, addressBits });
  const never = new FailurePlan();
  return new FailingDmaMapping(inner, { map: never, region: never, wrongAddress: never, ...failures });
}

describe('FailingDmaMapping', () => {
  it('returns DMA_NO_SPACE for the injected failures of map, and changes nothing for them', () => {
    const mapping = open({ map: new FailurePlan({ every: 2 }) });
    const words = Uint32Array.of(7, 8);
    const first = mapping.map(0x1000, 16, DmaDirection.ToDevice, words, 0);
    expect(first).toBeGreaterThanOrEqual(0);
    words.set([7, 8]);
    expect(mapping.map(0x2000, 16, DmaDirection.ToDevice, words, 0)).toBe(DMA_NO_SPACE);
    expect([...words]).toEqual([7, 8]);
    mapping.unmap(first, 0);
    expect(mapping.statistics).toMatchObject({ maps: 1, unmaps: 1, live: 0 });
  });

  it('throws ERR_DMA_EXHAUSTED for the injected failures of premap and allocateCoherent', () => {
    const mapping = open({ region: new FailurePlan({ nth: [1, 3] }) });
    const exhausted: unknown = expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' });
    expect(() => mapping.allocateCoherent(64, 16)).toThrow(exhausted);
    mapping.allocateCoherent(64, 16).release();
    expect(() => mapping.premap(0x1000, 64, DmaDirection.ToDevice)).toThrow(exhausted);
    expect(mapping.statistics.live).toBe(0);
  });

  it.each([
    [64, 0x40_0000_1000n],
    [39, 0x40_0000_1000n],
    [32, 0x8000_1000n],
  ])(
    'gives wrong addresses of buffers and regions in one count: with %i bits the address is %s, and all is unmapped',
    (bits, wrong) => {
      const mapping = open({ wrongAddress: new FailurePlan({ nth: [2, 3] }) }, bits);
      const words = new Uint32Array(6);
      const ring = mapping.allocateCoherent(64, 16);
      const ids = [0, 2].map((at) => mapping.map(0x1000, 16, DmaDirection.FromDevice, words, at));
      const pool = mapping.premap(0x0, 0x2000, DmaDirection.FromDevice);
      pool.writeDeviceAddress(0x1000, words, 4);
      const told = [0, 2, 4].map((at) => (BigInt(words[at + 1]!) << 32n) | BigInt(words[at]!));
      expect(told).toEqual([0x1000n, wrong, wrong]);
      ring.writeDeviceAddress(0, words, 0);
      expect(words[0]).toBe(ring.address);
      pool.syncForCpu(0, 16);
      for (const id of ids) mapping.unmap(id, 0);
      pool.release();
      ring.release();
      expect(mapping.statistics).toMatchObject({ maps: 4, unmaps: 4, live: 0 });
    },
  );
});
