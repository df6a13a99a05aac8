import { RingPair } from '@virtio-platform/conformance/testing';
import type { Transport, WaitResult } from '@virtio-platform/core/device';
import { UsedNotifications } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

/** A device that answers each wait in the same way, over a ring whose device's end the test works. */
function setUp(
  layout: 'split' | 'packed',
  result: WaitResult,
): { readonly ring: RingPair; readonly notifications: UsedNotifications; readonly waits: number[] } {
  const ring = new RingPair({ layout, size: 8, eventIdx: true });
  const waits: number[] = [];
  const transport = {
    wait(timeoutMs: number) {
      waits.push(timeoutMs);
      return result;
    },
  };
  return { ring, waits, notifications: new UsedNotifications(transport as unknown as Transport, [ring.queue]) };
}

/** One buffer, there and back. */
function exchange(ring: RingPair): void {
  ring.list.clear();
  ring.list.addReadable(ring.memory.allocate(64), 64);
  ring.send();
  ring.pop();
  ring.push(0);
  expect(ring.take()).toBe(1);
}

describe.each(['split', 'packed'] as const)('UsedNotifications, %s', (layout) => {
  it('owes nothing for progress in which no used buffer was taken', () => {
    const { ring, notifications, waits } = setUp(layout, 'timeout');
    for (let round = 0; round < 200; round++) notifications.progressed(0);
    expect([notifications.counts, waits]).toEqual([
      { wanted: 0, received: 0, missed: 0, spurious: 0, suppressed: 0 },
      [],
    ]);
    exchange(ring);
    notifications.progressed(1);
    expect(notifications.counts).toMatchObject({ wanted: 1, missed: 1 });
    expect(notifications.first).toMatchObject({ queue: 0, completed: 1 });
  });

  it('waits for the notification of a buffer that was taken before it came', () => {
    const { ring, notifications, waits } = setUp(layout, 'notified');
    exchange(ring);
    notifications.progressed(1);
    expect([notifications.counts.missed, waits.length]).toEqual([0, 1]);
    expect(notifications.first).toBeUndefined();
  });
});
