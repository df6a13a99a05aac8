import {
  SparseBacking,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import { pattern } from '@virtio-platform/conformance/testing';
import { BlockLoop, type BlockLoopOptions } from './block-loop.ts';

const MIB = 1024 * 1024;

const LIMITS: readonly (readonly [string, BlockLoopOptions, pieces: number])[] = [
  ['one segment of 1 KiB', { sizeMax: 1024, segMax: 1 }, 16],
  ['two segments of 1000 bytes, of which 1536 are whole sectors', { sizeMax: 1000, segMax: 2 }, 11],
  ['40 segments of 13 bytes', { sizeMax: 13, segMax: 40 }, 32],
  ['one segment, and a mapping that takes 4 KiB', { segMax: 1, maxMappingSize: 4096 }, 4],
  ['a mapping that takes 2 KiB, in a queue of 4', { maxMappingSize: 2048, queueSize: 4 }, 4],
  ['blocks of 4 KiB, and 5 segments of 1 KiB', { sizeMax: 1024, segMax: 5, blockSize: 4096 }, 4],
  ['room for the whole request', {}, 1],
];

describe.each(['premapped', 'streaming'] as const)('requests that are made in pieces, %s', (buffers) => {
  it.each(LIMITS)('C1 C2 obey the limits: %s', (_, limits, pieces) => {
    const loop = new BlockLoop(new SparseBacking(MIB), { ...limits, buffers, maxBytes: 16_384, depth: 2 });
    for (const seed of [1, 2]) {
      loop.seen.length = 0;
      expect(loop.request(VIRTIO_BLK_T_OUT, 8 * seed, 16_384, pattern(16_384, seed))).toBe(VIRTIO_BLK_S_OK);
      expect(loop.request(VIRTIO_BLK_T_IN, 8 * seed, 16_384)).toBe(VIRTIO_BLK_S_OK);
      expect(loop.data(16_384)).toEqual(pattern(16_384, seed));
      expect(loop.seen).toHaveLength(2 * pieces);
      for (const { bytes, segments, longest } of loop.seen) {
        expect(bytes % (limits.blockSize ?? 512)).toBe(0);
        expect(segments).toBeLessThanOrEqual(Math.min(limits.segMax ?? 62, (limits.queueSize ?? 64) - 2));
        expect(longest).toBeLessThanOrEqual(Math.min(limits.sizeMax ?? MIB, limits.maxMappingSize ?? MIB));
      }
    }
    expect(loop.request(VIRTIO_BLK_T_FLUSH, 0, 0)).toBe(VIRTIO_BLK_S_OK);
    expect(loop.request(VIRTIO_BLK_T_GET_ID, 0, 0)).toBe(VIRTIO_BLK_S_OK);
    loop.dispose();
    expect([loop.mapping.statistics.live, loop.memory.allocated]).toEqual([0, 0]);
  });

  it('C1 fail with the first error, and the rest of them is not made', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { buffers, segMax: 1, sizeMax: 512, queueSize: 4, depth: 2 });
    expect(loop.request(VIRTIO_BLK_T_IN, MIB / 512 - 2, 4096)).toBe(VIRTIO_BLK_S_IOERR);
    expect(loop.seen.length).toBeLessThan(5);
    expect(loop.request(VIRTIO_BLK_T_OUT, 0, 4096, pattern(4096, 1))).toBe(VIRTIO_BLK_S_OK);
    loop.dispose();
  });

  it('C1 come back whole from a queue that was reset, to be made again', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { buffers, segMax: 1, sizeMax: 512, queueSize: 4, depth: 2 });
    const { driver, queue } = loop;
    const slot = driver.take();
    expect(driver.submit(slot, VIRTIO_BLK_T_OUT, 0, 4096)).toBe(0);
    const other = driver.take();
    expect(driver.submit(other, VIRTIO_BLK_T_OUT, 8, 4096)).toBeLessThan(0);
    driver.give(other);
    expect(queue.outstanding).toBeGreaterThan(1);
    expect(driver.recover(queue.reset())).toEqual([slot]);
    expect(driver.submit(slot, VIRTIO_BLK_T_OUT, 0, 4096)).toBe(0);
    queue.reset();
    driver.dispose();
  });
});

describe('requests that are made in pieces', () => {
  it('C2 wait for space in the mapping, and tell the device of what they add', () => {
    const limits = { buffers: 'streaming', segMax: 1, sizeMax: 1024, failures: { every: 4 } } as const;
    const loop = new BlockLoop(new SparseBacking(MIB), { ...limits, maxBytes: 65_536, depth: 1 });
    for (let done = 0; done < 5;) {
      const slot = loop.driver.take();
      const isAdded = loop.driver.submit(slot, VIRTIO_BLK_T_OUT, 0, 65_536) === 0;
      if (isAdded) for (let i = 0; i < 1000 && loop.run() === 0;) i++;
      loop.driver.give(slot);
      if (isAdded) done++;
    }
    expect(loop.notified).toBeGreaterThan(0);
    loop.dispose();
    expect([loop.mapping.statistics.live, loop.memory.allocated]).toEqual([0, 0]);
  });

  it('C2 fail with a code where the rest can never be mapped', () => {
    // A piece has three mappings: the first is added, and nothing after it.
    const nth = Array.from({ length: 1000 }, (_, i) => i + 4);
    const limits = { buffers: 'streaming', segMax: 1, sizeMax: 1024, failures: { nth } } as const;
    const loop = new BlockLoop(new SparseBacking(MIB), limits);
    expect(() => loop.request(VIRTIO_BLK_T_OUT, 0, 4096, pattern(4096, 1))).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
    loop.dispose();
  });

  it.each([
    ['size_max 1, seg_max 1', { sizeMax: 1, segMax: 1 }, 'ERR_DEVICE_CONFIG'],
    ['size_max 511', { sizeMax: 511, segMax: 1 }, 'ERR_DEVICE_CONFIG'],
    ['a mapping that takes less than a sector', { segMax: 1, maxMappingSize: 256 }, 'ERR_DEVICE_CONFIG'],
    ['one segment of less than a block', { segMax: 1, sizeMax: 2048, blockSize: 4096 }, 'ERR_DEVICE_CONFIG'],
    ['a queue too short for one block', { sizeMax: 1, segMax: 512 }, 'ERR_QUEUE_TOO_SMALL'],
    ['T7 blocks longer than the requests', { blockSize: 8192 }, 'ERR_DEVICE_BLOCK_SIZE'],
  ])('C1 are impossible, by code: %s', (_, limits, code) => {
    const backing = new SparseBacking(MIB);
    expect(() => new BlockLoop(backing, limits)).toThrow(expect.objectContaining({ code }));
  });
});
