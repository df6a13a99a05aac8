import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  notificationValue,
  notifiedIdentity,
  openVirtqueue,
  ScatterList,
  UsedBatch,
  type QueueLayout,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { LayoutDevice } from './layout-device.ts';

function openQueue(layout: QueueLayout, size: number): { queue: Virtqueue; device: LayoutDevice } {
  const memory = new GuestMemory(new SharedArrayBuffer(0x10_0000));
  const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
  const queue = openVirtqueue(layout, memory, mapping, {
    index: 0,
    size,
    eventIdx: false,
    indirect: 0,
    legacyLayout: false,
    byteOrder: 'little',
    usedLength: 'strict',
  });
  return { queue, device: new LayoutDevice(layout, memory, queue.addresses) };
}

function add(queue: Virtqueue, segments: number): void {
  const list = new ScatterList(segments);
  for (let i = 0; i < segments; i++) list.addReadable(0x8000, 16);
  expect(queue.add(list)).toBeGreaterThanOrEqual(0);
}

describe('the value of a notification', () => {
  it('is the identity of the queue alone without NOTIFICATION_DATA', () => {
    expect(notificationValue(7, 0x1234, false)).toBe(7);
    expect(notifiedIdentity(7, false)).toBe(7);
  });

  it('has where the next buffer will be in its high half with NOTIFICATION_DATA, also with bit 15 set', () => {
    expect(notificationValue(7, 0x8003, true)).toBe(0x8003_0007);
    expect(notifiedIdentity(0x8003_0007, true)).toBe(7);
  });

  it('V35 tells of no queue where a high half was not negotiated', () => {
    expect(notifiedIdentity(0x1_0000, false)).toBe(-1);
    expect(notifiedIdentity(0x8003_0007, false)).toBe(-1);
  });
});

describe('where the next buffer will be available', () => {
  it('is the available index of a split ring, over its wrap', () => {
    const { queue, device } = openQueue('split', 4);
    const wrong: number[] = [];
    const list = new ScatterList(1);
    list.addReadable(0x8000, 16);
    for (let i = 0; i <= 0x1_0003; i++) {
      const before = queue.nextAvailable;
      queue.add(list);
      if (before !== (i & 0xffff) || queue.nextAvailable !== before) wrong.push(i);
      queue.publish();
      device.returnAll();
      queue.takeUsed(new UsedBatch(4));
    }
    expect([queue.nextAvailable, wrong]).toEqual([4, []]);
  });

  it('is the slot of a packed ring, with the wrap counter in bit 15', () => {
    const { queue, device } = openQueue('packed', 5);
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) {
      seen.push(queue.nextAvailable);
      add(queue, 2);
      queue.publish();
      device.returnAll();
      queue.takeUsed(new UsedBatch(4));
    }
    expect(seen).toEqual([0x8000, 0x8002, 0x8004, 0x0001, 0x0003, 0x8000]);
  });

  it.each(['split', 'packed'] as const)('counts what is published only, and starts anew with a reset: %s', (layout) => {
    const { queue } = openQueue(layout, 8);
    const start = queue.nextAvailable;
    add(queue, 1);
    add(queue, 1);
    expect(queue.nextAvailable).toBe(start);
    queue.publish();
    expect(queue.nextAvailable).toBe(start + 2);
    queue.reset();
    expect(queue.nextAvailable).toBe(start);
  });
});
