import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  openVirtqueue,
  QUEUE_FULL,
  ScatterList,
  UsedBatch,
  type QueueLayout,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { LayoutDevice } from './layout-device.ts';

const BUFFER = 0xe000;

interface OpenQueue {
  readonly queue: Virtqueue;
  readonly memory: GuestMemory;
  readonly mapping: DirectDmaMapping;
}

function openQueue(layout: QueueLayout, indirect = 0, bytes = 0x1_0000): OpenQueue {
  const memory = new GuestMemory(new SharedArrayBuffer(bytes));
  const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 256 });
  const queue = openVirtqueue(layout, memory, mapping, {
    index: 3,
    size: 8,
    eventIdx: true,
    indirect,
    legacyLayout: false,
    byteOrder: 'little',
    usedLength: 'strict',
  });
  return { queue, memory, mapping };
}

/** Adds requests of three segments until the queue is full, and returns how many there are. */
function fill(queue: Virtqueue): number {
  const list = new ScatterList(3);
  list.addReadable(BUFFER, 16);
  list.addWritable(BUFFER + 0x100, 16);
  list.addWritable(BUFFER + 0x200, 16);
  let count = 0;
  for (let id = queue.add(list); id !== QUEUE_FULL; id = queue.add(list)) {
    expect(id).toBeGreaterThanOrEqual(0);
    count++;
  }
  queue.publish();
  return count;
}

describe.each(['split', 'packed'] as const)('the resize of a %s queue', (layout) => {
  it.each([4, 16, 64])('works on with %d entries, as the device finds them', (size) => {
    const { queue, memory } = openQueue(layout, 3);
    fill(queue);
    queue.reset();
    queue.resize(size);
    expect([queue.size, queue.addresses.size]).toEqual([size, size]);
    for (let round = 0; round < 3; round++) {
      expect(fill(queue)).toBe(size);
      const device = new LayoutDevice(layout, memory, queue.addresses, { eventIdx: true, indirect: true });
      const count = device.returnAll();
      const batch = new UsedBatch(64);
      expect([queue.takeUsed(batch), queue.broken]).toEqual([count, undefined]);
      queue.reset();
    }
  });

  it('R-12 unmaps what was outstanding before, gives the old ring back, and leaves nothing behind', () => {
    const { queue, mapping } = openQueue(layout);
    const before = mapping.statistics.live;
    expect(fill(queue)).toBe(2);
    expect(mapping.statistics.live).toBe(before + 6);
    expect(queue.reset()).toHaveLength(2);
    queue.resize(32);
    expect(mapping.statistics.live).toBe(before);
    queue.dispose();
    expect(mapping.statistics.live).toBe(0);
  });

  it('R-12 keeps the queue it had when there is no memory for another one', () => {
    const { queue, memory, mapping } = openQueue(layout, 0, 8 * PAGE_SIZE);
    const { addresses } = queue;
    expect(() => queue.resize(4096)).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    expect([queue.size, queue.addresses]).toEqual([8, addresses]);
    expect(mapping.statistics.live).toBe(1);
    const list = new ScatterList(1);
    list.addWritable(0x4000, 4);
    expect(queue.add(list)).toBe(0);
    queue.publish();
    expect(new LayoutDevice(layout, memory, queue.addresses, { eventIdx: true }).returnAll()).toBe(1);
    expect(queue.takeUsed(new UsedBatch(1))).toBe(1);
  });

  it('is refused while the device has a buffer', () => {
    const { queue } = openQueue(layout);
    fill(queue);
    expect(() => queue.resize(16)).toThrow(TypeError);
    expect(queue.size).toBe(8);
  });

  it.each([0, -1, 1.5, 32_769])('is refused to %d entries', (size) => {
    const { queue, mapping } = openQueue(layout);
    expect(() => queue.resize(size)).toThrow(RangeError);
    expect([queue.size, mapping.statistics.live]).toEqual([8, 1]);
  });
});
