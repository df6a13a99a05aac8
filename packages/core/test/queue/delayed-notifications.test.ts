import { describe, expect, it } from 'vitest';
import { RingEnds } from './ring-ends.ts';

const SIZE = 8;

describe.each(['split', 'packed'] as const)('enableNotificationsDelayed on a %s ring', (layout) => {
  it.each([1, 2])('asks once, when three quarters of the buffers of %d segments are back', (segments) => {
    const ends = new RingEnds({ layout, eventIdx: true });
    const ids = ends.give(SIZE / segments, segments);
    expect(ends.queue.enableNotificationsDelayed()).toBe(true);
    const notified = ids.map((id) => ends.use(id, 1));
    expect(notified.filter(Boolean)).toHaveLength(1);
    expect(notified.indexOf(true) + 1).toBeGreaterThan((ids.length * 3) / 4);
    expect(ends.take()).toHaveLength(ids.length);
  });

  it('returns false when they are already back', () => {
    const ends = new RingEnds({ layout, eventIdx: true });
    for (const id of ends.give(SIZE)) ends.use(id, 1);
    expect(ends.queue.enableNotificationsDelayed()).toBe(false);
  });

  it('R-02 returns false when as many are back as it would wait for, though a list hides the place of its event', () => {
    // Two buffers of four slots: in a packed ring the event is at slot 6, which stays as it is in the middle of the
    // second.
    const ends = new RingEnds({ layout, eventIdx: true });
    for (const id of ends.give(2, 4)) ends.use(id, 1);
    expect(ends.queue.enableNotificationsDelayed()).toBe(false);
    expect(ends.take(2)).toHaveLength(2);
    expect(ends.queue.enableNotificationsDelayed()).toBe(true);
  });

  it('R-02 looks at the place that changes next, not inside a list', () => {
    const ends = new RingEnds({ layout, eventIdx: true });
    const [first, ...others] = ends.give(4, 2);
    ends.use(first!, 1);
    expect(ends.queue.enableNotifications()).toBe(false);
    expect(ends.take(1)).toHaveLength(1);
    expect(ends.queue.enableNotificationsDelayed()).toBe(true);
    expect(others.map((id) => ends.use(id, 1)).filter(Boolean)).toHaveLength(1);
  });
});
