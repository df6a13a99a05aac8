import { notificationValue, notifiedIdentity } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { RingEnds } from './ring-ends.ts';

describe('the value of a notification', () => {
  it('is the identity of the queue alone without NOTIFICATION_DATA', () => {
    expect(notificationValue(7, 0x1234, false)).toBe(7);
    expect(notifiedIdentity(7, false)).toBe(7);
  });

  it('has the position of the next buffer in its high half with NOTIFICATION_DATA, also with bit 15 set', () => {
    expect(notificationValue(7, 0x8003, true)).toBe(0x8003_0007);
    expect(notifiedIdentity(0x8003_0007, true)).toBe(7);
  });

  it('V35 identifies no queue where a high half was not negotiated', () => {
    expect(notifiedIdentity(0x1_0000, false)).toBe(-1);
    expect(notifiedIdentity(0x8003_0007, false)).toBe(-1);
  });
});

describe('the position of the next buffer', () => {
  it('is the available index of a split ring, over its wrap', () => {
    const ends = new RingEnds({ layout: 'split', size: 4 });
    const { queue } = ends;
    const wrong: number[] = [];
    for (let i = 0; i <= 0x1_0003; i++) {
      const before = queue.nextAvailable;
      ends.add(1, 0);
      if (before !== (i & 0xffff) || queue.nextAvailable !== before) wrong.push(i);
      queue.publish();
      ends.returnAll();
      ends.take();
    }
    expect([queue.nextAvailable, wrong]).toEqual([4, []]);
  });

  it('is the slot of a packed ring, with the wrap counter in bit 15', () => {
    const ends = new RingEnds({ layout: 'packed', size: 5 });
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) {
      seen.push(ends.queue.nextAvailable);
      ends.add(2, 0);
      ends.queue.publish();
      ends.returnAll();
      ends.take();
    }
    expect(seen).toEqual([0x8000, 0x8002, 0x8004, 0x0001, 0x0003, 0x8000]);
  });

  it.each(['split', 'packed'] as const)('counts published buffers only, and starts over with a reset: %s', (layout) => {
    const ends = new RingEnds({ layout });
    const { queue } = ends;
    const start = queue.nextAvailable;
    ends.add(1, 0);
    ends.add(1, 0);
    expect(queue.nextAvailable).toBe(start);
    queue.publish();
    expect(queue.nextAvailable).toBe(start + 2);
    queue.reset();
    expect(queue.nextAvailable).toBe(start);
  });
});
