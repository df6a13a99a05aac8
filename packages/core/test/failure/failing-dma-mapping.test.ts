import {
  DirectDmaMapping,
  DMA_NO_SPACE,
  DmaDirection,
  FailingDmaMapping,
  FailurePlan,
  GuestMemory,
  type DmaFailures,
} from '@virtio-platform/core';
import { describe, expect, it } from 'vitest';

function open(failures: Partial<DmaFailures>): FailingDmaMapping {
  const memory = new GuestMemory(new SharedArrayBuffer(0x4_0000));
  const inner = new DirectDmaMapping(memory, { path: 'physical', capacity: 16 });
  const never = new FailurePlan();
  return new FailingDmaMapping(inner, { map: never, region: never, ...failures });
}

describe('FailingDmaMapping', () => {
  it('has no room for the mappings that are to fail, and changes nothing for them', () => {
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

  it('has no room for regions that are to fail: coherent ones, and those of buffers', () => {
    const mapping = open({ region: new FailurePlan({ nth: [1, 3] }) });
    const exhausted: unknown = expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' });
    expect(() => mapping.allocateCoherent(64, 16)).toThrow(exhausted);
    mapping.allocateCoherent(64, 16).release();
    expect(() => mapping.premap(0x1000, 64, DmaDirection.ToDevice)).toThrow(exhausted);
    expect(mapping.statistics.live).toBe(0);
  });
});
