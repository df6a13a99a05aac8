import {
  BOTH_LAYOUTS,
  caseGroup,
  type ConformBench,
  type ConformCase,
  type ConformRing,
  type LaidOutRequest,
  openedBy,
  type OpenedCase,
  type StartOptions,
} from '@virtio-platform/core';
import { resetQueue, resumeDevice, suspendDevice } from '@virtio-platform/core/device';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { offers } from './needs.ts';

const hasRingReset = offers(VIRTIO_F_RING_RESET);
/** Queues of a device that a case uses at most. */
const MOST_QUEUES = 8;

/**
 * Starts the device with every queue that serves requests, beside those that it needs, in the order that `order` makes
 * of them. Skips the case where there is one only. Returns the queues that serve.
 */
async function startAll(
  bench: ConformBench,
  options: StartOptions = {},
  order: (queues: readonly number[]) => readonly number[] = (queues) => queues,
): Promise<readonly number[]> {
  await bench.start(options);
  const needed = bench.enabled;
  const all = Array.from({ length: bench.device.queueCount }, (_, queue) => queue);
  const serving = all
    .filter((queue) => bench.device.maxQueueSize(queue) > 0 && bench.requestOn(queue, 0) !== undefined)
    .slice(0, MOST_QUEUES);
  if (serving.length < 2) bench.skip('the device has one queue that serves requests');
  const wanted = [...serving, ...needed.filter((queue) => !serving.includes(queue))].toSorted((a, b) => a - b);
  await bench.start({ ...options, queues: order(wanted) });
  return serving;
}

function layOutOn(bench: ConformBench, queue: number, n: number): LaidOutRequest {
  return bench.layOutRequest(bench.requestOn(queue, n)!, n % 3 === 2 ? { readable: [3] } : {});
}

/** Serves some requests of one queue, one after the other. */
async function serveOn(bench: ConformBench, queue: number, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await bench.serve(layOutOn(bench, queue, n), {}, bench.ring(queue));
}

/** Makes requests available on each queue, notifies for all of them, and takes them back from each. */
async function serveAtOnce(bench: ConformBench, queues: readonly number[], each: number): Promise<void> {
  const given = queues.map((queue) => {
    const ring = bench.ring(queue);
    const waiting = new Map<number, LaidOutRequest>();
    for (let n = 0; n < each; n++) {
      const laid = layOutOn(bench, queue, n);
      waiting.set(ring.add(laid.segments), laid);
    }
    return { ring, waiting };
  });
  for (const { ring } of given) ring.publish();
  for (const { ring } of given) ring.kick();
  for (const { ring, waiting } of given) await takeAll(bench, ring, waiting);
}

/** Takes back what a ring has, in any order. */
async function takeAll(bench: ConformBench, ring: ConformRing, waiting: Map<number, LaidOutRequest>): Promise<void> {
  while (waiting.size > 0) {
    const returned = await ring.takeNext();
    const laid = waiting.get(returned.id);
    bench.check(laid !== undefined, `queue ${ring.index} returned buffer ${returned.id}, which it did not have`);
    waiting.delete(returned.id);
    bench.equal(`what is wrong on queue ${ring.index}`, laid!.check(returned) ?? 'nothing', 'nothing');
  }
  bench.check(ring.take() === undefined, `queue ${ring.index} returned a buffer more than it had`);
}

/** A case on a device with all of its queues, and those that serve requests. */
interface QueueTemplate extends OpenedCase<readonly number[]> {
  readonly start?: StartOptions;
  /** In which order the queues are enabled. Default: from the first to the last. */
  readonly order?: (queues: readonly number[]) => readonly number[];
}

function queueCase({ start, order, ...rest }: QueueTemplate): ConformCase {
  return openedBy((bench) => startAll(bench, start, order))(rest);
}
const queueCases = caseGroup(queueCase);

/** Several queues at once (specification 1.4 sections 2.6 and 2.6.1): for devices with two that serve requests. */
export const QUEUE_CASES: readonly ConformCase[] = [
  queueCase({
    id: 'queues/at-once',
    clause: '2.6',
    title: 'serves requests on all of its queues at once, each on the queue where it was made available',
    layouts: BOTH_LAYOUTS,
    run: async (bench, queues) => {
      for (let round = 0; round < 4; round++) await serveAtOnce(bench, queues, 3);
    },
  }),
  queueCase({
    id: 'queues/enabled-in-reverse',
    clause: '2.6',
    title: 'serves where its queues are enabled from the last to the first',
    layouts: BOTH_LAYOUTS,
    order: (queues) => queues.toReversed(),
    run: async (bench, queues) => {
      await serveAtOnce(bench, queues, 2);
      await serveAtOnce(bench, queues.toReversed(), 2);
    },
  }),
  ...queueCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'queues/sizes-apart',
      clause: '2.6',
      title: 'serves where each queue has another size',
      start: { size: (queue) => 8 << (queue % 4) },
      run: async (bench, queues) => {
        for (let round = 0; round < 8; round++) await serveAtOnce(bench, queues, 2);
      },
    },
    {
      id: 'queues/waiting-apart',
      clause: '2.9',
      title: 'serves one queue while another one has buffers that were not notified of',
      run: async (bench, queues) => {
        for (const waiting of queues) {
          const ring = bench.ring(waiting);
          const laid = layOutOn(bench, waiting, 0);
          const given = new Map([[ring.add(laid.segments), laid]]);
          ring.publish();
          for (const other of queues) if (other !== waiting) await serveOn(bench, other, 2);
          ring.kick();
          await takeAll(bench, ring, given);
        }
      },
    },
    {
      id: 'queues/notified-of-each',
      clause: '2.7.7.2',
      title: 'notifies of the used buffers of each queue, whichever the driver wants to be told of',
      run: async (bench, queues) => {
        for (const wanted of queues) {
          for (const queue of queues) bench.ring(queue).wantNotifications(queue === wanted);
          await bench.settle();
          bench.drain();
          await serveOn(bench, wanted, 1);
          bench.check(await bench.notified(), `no notification of a used buffer of queue ${wanted}`);
        }
      },
    },
    {
      id: 'queues/events-apart',
      clause: '2.7.7.2',
      title: 'keeps the events of its queues apart',
      needs: [offers(VIRTIO_RING_F_EVENT_IDX)],
      start: { with: [VIRTIO_RING_F_EVENT_IDX] },
      run: async (bench, queues) => {
        // Other queues have got further, so that their positions name no event of this one.
        for (const [i, queue] of queues.entries()) await serveOn(bench, queue, 2 * i);
        for (const wanted of queues) {
          const ring = bench.ring(wanted);
          ring.wantNotificationAt(ring.nextUsed);
          await bench.settle();
          bench.drain();
          await serveOn(bench, wanted, 1);
          bench.check(await bench.notified(), `no notification at the event of queue ${wanted}`);
        }
      },
    },
    {
      id: 'queues/tables-on-each',
      clause: '2.7.5.3',
      title: 'takes tables on each queue',
      needs: [offers(VIRTIO_RING_F_INDIRECT_DESC)],
      start: { with: [VIRTIO_RING_F_INDIRECT_DESC] },
      run: async (bench, queues) => {
        for (let n = 0; n < 3; n++) {
          for (const queue of queues)
            await bench.serve(layOutOn(bench, queue, n), { indirect: true }, bench.ring(queue));
        }
      },
    },
    {
      id: 'queues/in-order',
      clause: '6.2',
      title: 'keeps the order of each queue for itself, with IN_ORDER',
      needs: [offers(VIRTIO_F_IN_ORDER)],
      start: { with: [VIRTIO_F_IN_ORDER] },
      run: async (bench, queues) => {
        for (let round = 0; round < 6; round++) {
          const given = queues.map((queue) => {
            const ring = bench.ring(queue);
            const ids = [0, 1, 2].map((n) => ring.add(layOutOn(bench, queue, n).segments));
            return { ring, ids };
          });
          for (const { ring } of given) ring.publish();
          for (const { ring } of given.toReversed()) ring.kick();
          for (const { ring, ids } of given) {
            for (const id of ids) bench.equal(`the used id of queue ${ring.index}`, (await ring.takeNext()).id, id);
          }
        }
      },
    },
    {
      id: 'queues/many-requests',
      clause: '2.6',
      title: 'serves 300 requests on queues by turns, with several laps of each',
      run: async (bench, queues) => {
        for (let turn = 0; turn < 120; turn++)
          await serveAtOnce(bench, [queues[(turn * 7) % queues.length]!], 1 + (turn % 4));
      },
    },
    {
      id: 'queues/reset-one',
      clause: '2.6.1.1',
      title: 'serves on its other queues while one is reset, and on that one again once it is enabled',
      needs: [hasRingReset],
      start: { with: [VIRTIO_F_RING_RESET] },
      run: async (bench, queues) => {
        await serveAtOnce(bench, queues, 2);
        for (const one of queues) {
          resetQueue(bench.transport, one);
          await serveAtOnce(
            bench,
            queues.filter((queue) => queue !== one),
            2,
          );
          bench.renewRing(one);
          await serveAtOnce(bench, queues, 2);
        }
      },
    },
    {
      id: 'queues/reset-one-with-buffers',
      clause: '2.6.1.1',
      title: 'forgets the buffers of a queue that is reset, and keeps those of the others',
      needs: [hasRingReset],
      start: { with: [VIRTIO_F_RING_RESET] },
      run: async (bench, queues) => {
        const [one, other] = [queues[0]!, queues[1]!];
        const old = bench.ring(one);
        old.add(layOutOn(bench, one, 0).segments);
        old.publish();
        const kept = bench.ring(other);
        const laid = layOutOn(bench, other, 0);
        const given = new Map([[kept.add(laid.segments), laid]]);
        kept.publish();
        resetQueue(bench.transport, one);
        // What was published may have been taken before the reset.
        while (old.take() !== undefined);
        bench.renewRing(one);
        kept.kick();
        await takeAll(bench, kept, given);
        await serveOn(bench, one, 3);
        bench.check(old.take() === undefined, `queue ${one} returned a buffer of before its reset`);
      },
    },
    {
      id: 'queues/suspend',
      clause: '3.4.2',
      title: 'goes on with all of its queues when it resumes',
      needs: [offers(VIRTIO_F_SUSPEND)],
      start: { with: [VIRTIO_F_SUSPEND] },
      run: async (bench, queues) => {
        for (let n = 0; n < 2; n++) {
          await serveAtOnce(bench, queues, 2);
          suspendDevice(bench.transport);
          resumeDevice(bench.transport);
        }
        await serveAtOnce(bench, queues, 2);
      },
    },
  ]),
];
