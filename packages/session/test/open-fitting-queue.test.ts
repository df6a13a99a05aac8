import { DmaError } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import type { QueueLayout, Virtqueue } from '@virtio-platform/core/queue';
import { ringOptions } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';
import { openFittingQueue } from '../src/open-fitting-queue.ts';

interface Opened {
  readonly queue: Virtqueue;
  readonly memory: GuestMemory;
  /** Bytes of the pieces that were asked for, in kibibytes. */
  readonly asked: number[];
}

/** Opens a queue whose platform gives pieces of `most` bytes, and `total` bytes in all. */
function open(
  layout: QueueLayout,
  options: { size: number; indirect?: number; most?: number | undefined; total?: number; legacyLayout?: boolean },
): Opened {
  const { most, total = Infinity, ...ring } = options;
  const memory = new GuestMemory(new SharedArrayBuffer(16 << 20));
  const asked: number[] = [];
  const coherent = {
    allocate: (length: number, alignment: number): number => {
      asked.push(Math.ceil(length / 1024));
      if (length > (most ?? Infinity) || memory.allocated + length > total)
        throw new DmaError('ERR_DMA_EXHAUSTED', `no ${length} bytes`);
      return memory.allocate(length, alignment);
    },
    free: (address: number): void => memory.free(address),
  };
  const mapping = new DirectDmaMapping(memory, { path: 'identity', capacity: 8, coherent, maxRegionSize: most });
  const queue = openFittingQueue(layout, memory, mapping, ringOptions({ indirect: 0, ...ring }));
  return { queue, memory, asked };
}

const MOST = 256 * 1024;

describe('a queue whose platform limits regions', () => {
  it('is halved until it fits', () => {
    const { queue, memory, asked } = open('split', { size: 32768, most: MOST });
    expect(queue.size).toBe(8192);
    expect(asked).toEqual([833, 417, 209]);
    queue.dispose();
    expect(memory.allocated).toBe(0);
  });

  it('has no indirect tables where the ring alone fits, and leaves nothing of the tries', () => {
    const { queue, memory } = open('split', { size: 4096, indirect: 16, most: MOST });
    expect(queue.size).toBe(4096);
    queue.dispose();
    expect(memory.allocated).toBe(0);
  });

  it('is not halved below a page, and fails with what the first size needs', () => {
    expect(() => open('split', { size: 1024, most: MOST, total: 1024 })).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED', message: 'no 26640 bytes' }),
    );
  });

  it.each([
    ['packed', {}],
    ['split', { legacyLayout: true }],
  ] as const)('keeps its size: %s %o', (layout, more) => {
    expect(() => open(layout, { size: 32768, most: MOST, ...more })).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
  });
});

describe('a queue whose platform does not', () => {
  it('has the size that was asked for, or fails', () => {
    expect(open('split', { size: 32768 }).queue.size).toBe(32768);
    expect(() => open('split', { size: 1024, total: 10_000 })).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
  });
});
