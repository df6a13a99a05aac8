import {
  bareCases,
  BOTH_LAYOUTS,
  returnsNothing,
  startedCase,
  startedCases,
  type ConformBench,
  type ConformCase,
  type ConformRing,
} from '@virtio-platform/core';
import { VIRTIO_F_NOTIFICATION_DATA, VIRTIO_RING_F_EVENT_IDX } from '@virtio-platform/core/features';
import { offers } from '../needs.ts';

const hasEventIdx = offers(VIRTIO_RING_F_EVENT_IDX);
const EVENT_IDX = { with: [VIRTIO_RING_F_EVENT_IDX] };

/** Lets what is on its way come, and forgets it: a device may notify late, and without need. */
async function quiet(bench: ConformBench): Promise<void> {
  await bench.settle();
  bench.drain();
}

/** Serves one request and looks whether the device notifies. */
async function notifies(bench: ConformBench, n: number): Promise<boolean> {
  await bench.serve(bench.layOut(n));
  return bench.notified();
}

/** A position of the ring, `buffers` of one request each further on. */
function later(bench: ConformBench, ring: ConformRing, buffers: number): number {
  if (ring.layout === 'split') return (ring.nextUsed + buffers) & 0xffff;
  const slots = bench.layOut(0).segments.length * buffers;
  const slot = (ring.nextUsed & 0x7fff) + slots;
  return slot < ring.size ? (ring.nextUsed & 0x8000) | slot : ((ring.nextUsed & 0x8000) ^ 0x8000) | (slot - ring.size);
}

/** Who is told, and when (specification 1.4 sections 2.7.7, 2.7.10, 2.8.10 and 2.9). */
export const NOTIFICATION_CASES: readonly ConformCase[] = [
  ...startedCases({ clause: '2.7.7.2', layouts: BOTH_LAYOUTS }, [
    {
      id: 'notify/wanted',
      title: 'notifies of each used buffer where the driver wants it',
      run: async (bench, ring) => {
        ring.wantNotifications(true);
        for (let n = 0; n < 8; n++) {
          await quiet(bench);
          bench.check(await notifies(bench, n), `no notification of used buffer ${n}`);
        }
      },
    },
    {
      id: 'notify/suppressed',
      level: 'SHOULD',
      title: 'sends no notification where the driver wants none',
      run: async (bench, ring) => {
        ring.wantNotifications(false);
        await bench.serve(bench.layOut(0));
        await quiet(bench);
        await bench.serveMany(6, 2);
        bench.check(!(await bench.notified(20)), 'it notified although the driver suppressed that');
      },
    },
    {
      id: 'notify/wanted-again',
      title: 'notifies again once the driver wants it again',
      run: async (bench, ring) => {
        for (let n = 0; n < 3; n++) {
          ring.wantNotifications(false);
          await bench.serveMany(3, 3);
          ring.wantNotifications(true);
          await quiet(bench);
          bench.check(await notifies(bench, n), 'no notification after the driver wanted them again');
        }
      },
    },
  ]),
  startedCase({
    id: 'notify/used-event-ignored',
    clause: '2.7.7.2',
    title: 'ignores used_event without EVENT_IDX',
    run: async (bench, ring) => {
      for (const event of [0x7fff, 0xffff, 0]) {
        ring.wantNotificationAt(event);
        await quiet(bench);
        bench.check(await notifies(bench, 0), `no notification, with used_event ${event} and without EVENT_IDX`);
      }
    },
  }),
  ...startedCases({ clause: '2.7.7.2', needs: [hasEventIdx] }, [
    {
      id: 'notify/flags-ignored-with-event-idx',
      title: 'ignores avail.flags with EVENT_IDX',
      start: EVENT_IDX,
      run: async (bench, ring) => {
        ring.poke('driver', 0, 1);
        for (let n = 0; n < 4; n++) {
          ring.wantNotificationAt(ring.nextUsed);
          await quiet(bench);
          bench.check(await notifies(bench, n), 'no notification, with flags of 1 and used_event reached');
        }
      },
    },
    {
      id: 'notify/event',
      title: 'notifies as the used index passes the event, one buffer at a time',
      layouts: BOTH_LAYOUTS,
      start: EVENT_IDX,
      run: async (bench, ring) => {
        for (let n = 0; n < 24; n++) {
          ring.wantNotificationAt(ring.nextUsed);
          await quiet(bench);
          bench.check(await notifies(bench, n), `no notification at position ${ring.nextUsed}, which the event named`);
        }
      },
    },
    {
      id: 'notify/event-in-batch',
      title: 'notifies where a batch passes the event in its middle',
      layouts: BOTH_LAYOUTS,
      start: { ...EVENT_IDX, size: 32 },
      run: async (bench, ring) => {
        for (let n = 0; n < 12; n++) {
          await quiet(bench);
          ring.wantNotificationAt(later(bench, ring, 3));
          await bench.serveMany(6, 6);
          bench.check(await bench.notified(), 'no notification of a batch of 6 with the event at its 4th buffer');
        }
      },
    },
    {
      id: 'notify/event-not-reached',
      level: 'SHOULD',
      title: 'sends no notification before the event',
      layouts: BOTH_LAYOUTS,
      start: { ...EVENT_IDX, size: 32 },
      run: async (bench, ring) => {
        await bench.serve(bench.layOut(0));
        ring.wantNotificationAt(later(bench, ring, 6));
        await quiet(bench);
        await bench.serveMany(4, 1);
        bench.check(!(await bench.notified(20)), 'it notified before the used index got to the event');
      },
    },
    {
      id: 'notify/event-at-wrap',
      title: 'notifies as the used index passes the event at 65535 and at 0 (V34)',
      start: { ...EVENT_IDX, size: 64 },
      run: async (bench, ring) => {
        const laid = Array.from({ length: 32 }, (_, n) => bench.layOut(n));
        while (ring.nextUsed < 65_504) {
          ring.wantNotificationAt(ring.nextUsed + laid.length - 1);
          for (const { segments } of laid) ring.add(segments);
          ring.publish();
          ring.kick();
          for (let n = 0; n < laid.length; n++) await ring.takeNext();
        }
        while (ring.nextUsed !== 3) {
          ring.wantNotificationAt(ring.nextUsed);
          await quiet(bench);
          const at = ring.nextUsed;
          ring.give(laid[0]!.segments);
          await ring.takeNext();
          bench.check(await bench.notified(), `no notification at used index ${at}, which used_event named`);
        }
      },
    },
  ]),
  ...bareCases({ clause: '2.7.10.1', layouts: BOTH_LAYOUTS }, [
    {
      id: 'notify/honest-driver',
      title: 'finds every buffer of a driver that kicks only where the device wants it',
      run: (bench) => kicksWhenWanted(bench, []),
    },
    {
      id: 'notify/honest-driver-with-event-idx',
      title: 'finds every buffer of a driver that kicks only at the event of the device',
      needs: [hasEventIdx],
      run: (bench) => kicksWhenWanted(bench, EVENT_IDX.with),
    },
  ]),
  ...startedCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'notify/spurious-kicks',
      clause: '2.7.10.2',
      title: 'takes kicks with nothing new, and many for one buffer',
      run: async (bench, ring) => {
        for (let n = 0; n < 6; n++) {
          for (let i = 0; i < 5; i++) ring.kick();
          const laid = bench.layOut(n);
          ring.add(laid.segments);
          for (let i = 0; i < 3; i++) ring.kick();
          ring.publish();
          for (let i = 0; i < 3; i++) ring.kick();
          await bench.takeBack(laid, ring);
          bench.check(ring.take() === undefined, 'it returned the buffer twice');
        }
      },
    },
    {
      id: 'notify/unpublished',
      clause: '2.7.6',
      title: 'takes no buffer that was described and not published, however often the driver kicks',
      run: async (bench, ring) => {
        await bench.serve(bench.layOut(0));
        ring.add(bench.layOut(1).segments);
        for (let i = 0; i < 3; i++) ring.kick();
        await returnsNothing(bench, ring, 'it returned a buffer that was not available yet');
        ring.publish();
        ring.kick();
        await ring.takeNext();
      },
    },
    {
      id: 'notify/with-data',
      clause: '2.9',
      title: 'serves with notifications that carry the position of the ring',
      needs: [offers(VIRTIO_F_NOTIFICATION_DATA)],
      start: { with: [VIRTIO_F_NOTIFICATION_DATA] },
      run: async (bench) => {
        await bench.serveMany(40, 3);
      },
    },
  ]),
];

/** Kicks only where the device asks for it; a device that asks too late hangs. */
async function kicksWhenWanted(bench: ConformBench, features: readonly number[]): Promise<void> {
  const ring = await bench.start({ with: features, size: 32 });
  for (let n = 0; n < 120; n++) {
    const laid = bench.layOut(n % 8);
    const id = ring.add(laid.segments);
    ring.publish();
    if (ring.wantsKick()) ring.kick();
    const returned = await ring.takeNext();
    bench.equal('the used id', returned.id, id);
  }
}
