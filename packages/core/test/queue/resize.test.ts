import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { QUEUE_FULL, ScatterList } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { RingEnds } from './ring-ends.ts';

/** Adds buffers of three segments until the queue is full, publishes them, and returns how many there are. */
function fill(ends: RingEnds): number {
  let count = 0;
  for (let id = ends.add(1, 2); id !== QUEUE_FULL; id = ends.add(1, 2)) {
    expect(id).toBeGreaterThanOrEqual(0);
    count++;
  }
  ends.queue.publish();
  return count;
}

describe.each(['split', 'packed'] as const)('the resize of a %s queue', (layout) => {
  it.each([4, 16, 64])('works on with %d entries, as the device finds them', (size) => {
    const ends = new RingEnds({ layout, eventIdx: true, indirect: 3 });
    const { queue } = ends;
    fill(ends);
    queue.reset();
    queue.resize(size);
    expect([queue.size, queue.addresses.size]).toEqual([size, size]);
    for (let round = 0; round < 3; round++) {
      expect(fill(ends)).toBe(size);
      ends.device = ends.openDevice();
      const count = ends.returnAll();
      expect([ends.take(64).length, queue.broken]).toEqual([count, undefined]);
      queue.reset();
    }
  });

  it('R-12 unmaps what was outstanding before, gives the old ring back, and leaves nothing behind', () => {
    const ends = new RingEnds({ layout, eventIdx: true });
    const { queue, mapping } = ends;
    const before = mapping.statistics.live;
    expect(fill(ends)).toBe(2);
    expect(mapping.statistics.live).toBe(before + 6);
    expect(queue.reset()).toHaveLength(2);
    queue.resize(32);
    expect(mapping.statistics.live).toBe(before);
    queue.dispose();
    expect(mapping.statistics.live).toBe(0);
  });

  it('R-12 keeps the queue it had when the memory for another one is exhausted', () => {
    const ends = new RingEnds({ layout, eventIdx: true, bytes: 8 * PAGE_SIZE });
    const { queue, mapping } = ends;
    const { addresses } = queue;
    expect(() => queue.resize(4096)).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    expect([queue.size, queue.addresses]).toEqual([8, addresses]);
    expect(mapping.statistics.live).toBe(1);
    const list = new ScatterList(1);
    list.addWritable(0x4000, 4);
    expect(queue.add(list)).toBe(0);
    queue.publish();
    expect([ends.returnAll(), ends.take(1).length]).toEqual([1, 1]);
  });

  it('is refused while the device has a buffer', () => {
    const ends = new RingEnds({ layout, eventIdx: true });
    fill(ends);
    expect(() => ends.queue.resize(16)).toThrow(TypeError);
    expect(ends.queue.size).toBe(8);
  });

  it.each([0, -1, 1.5, 32_769])('is refused to %d entries', (size) => {
    const { queue, mapping } = new RingEnds({ layout, eventIdx: true });
    expect(() => queue.resize(size)).toThrow(RangeError);
    expect([queue.size, mapping.statistics.live]).toEqual([8, 1]);
  });
});
