import {
  BOTH_LAYOUTS,
  type ConformBench,
  type ConformCase,
  returnsNothing,
  startedCase,
  startedCases,
} from '@virtio-platform/core';
import { resetQueue, resumeDevice, suspendDevice } from '@virtio-platform/core/device';
import { VIRTIO_F_IN_ORDER, VIRTIO_F_RING_RESET, VIRTIO_F_SUSPEND } from '@virtio-platform/core/features';
import { offers } from './needs.ts';

const RING_RESET = { with: [VIRTIO_F_RING_RESET] };
const SUSPEND = { with: [VIRTIO_F_SUSPEND] };
const hasRingReset = offers(VIRTIO_F_RING_RESET);
const hasSuspend = offers(VIRTIO_F_SUSPEND);

/** Resets the device with a request at some point of its life, and serves. */
async function resetsAt(bench: ConformBench, point: 'described' | 'published' | 'kicked'): Promise<void> {
  for (let n = 0; n < 3; n++) {
    const ring = await bench.start();
    await bench.serve(bench.layOut(n));
    ring.add(bench.layOut(n + 1).segments);
    if (point !== 'described') ring.publish();
    if (point === 'kicked') ring.kick();
    await bench.reset();
  }
  await bench.start();
  await bench.serve(bench.layOut(0));
}

/** Resets of the device and of a queue, suspends, and the order of buffers. */
export const RESET_CASES: readonly ConformCase[] = [
  ...(['described', 'published', 'kicked'] as const).map((point): ConformCase => ({
    id: `reset/buffer-${point}`,
    clause: '2.4',
    level: 'MUST',
    title: `works after a reset with a buffer that was ${point}`,
    layouts: BOTH_LAYOUTS,
    run: (bench) => resetsAt(bench, point),
  })),
  startedCase({
    id: 'reset/touches-nothing',
    clause: '2.4.1',
    title: 'takes no buffer after a reset, and does not notify',
    layouts: BOTH_LAYOUTS,
    run: async (bench, ring) => {
      await bench.serve(bench.layOut(0));
      const before = ring.deviceArea.read();
      await bench.reset();
      ring.add(bench.layOut(1).segments);
      ring.publish();
      await returnsNothing(bench, ring, 'it returned a buffer after the reset');
      bench.check(Buffer.compare(before, ring.deviceArea.read()) === 0, 'it wrote to the device area after the reset');
      bench.check(!(await bench.notified(0)), 'it notified after the reset');
    },
  }),
  ...startedCases({ layouts: BOTH_LAYOUTS, needs: [hasRingReset], start: RING_RESET }, [
    {
      id: 'queue-reset/serves-again',
      clause: '2.6.1.1',
      title: 'serves a queue from its beginning that was reset and enabled again',
      run: async (bench) => {
        for (let n = 0; n < 4; n++) {
          await bench.serveMany(5, 2);
          resetQueue(bench.transport, bench.ring().index);
          bench.renewRing(bench.ring().index);
        }
        await bench.serveMany(5, 2);
      },
    },
    {
      id: 'queue-reset/other-size',
      clause: '2.6.1.2',
      title: 'takes another size when a queue is enabled again',
      run: async (bench) => {
        for (const size of [4, 32, 8]) {
          resetQueue(bench.transport, bench.ring().index);
          bench.renewRing(bench.ring().index, size);
          await bench.serveMany(3 * size, 2);
        }
      },
    },
    {
      id: 'queue-reset/touches-nothing',
      clause: '2.6.1.1',
      title: 'takes no buffer of a queue that was reset, and does not notify for it',
      run: async (bench, ring) => {
        await bench.serve(bench.layOut(0));
        resetQueue(bench.transport, ring.index);
        bench.drain();
        ring.add(bench.layOut(1).segments);
        ring.publish();
        await returnsNothing(bench, ring, 'it returned a buffer of a queue that was reset');
        bench.check(!(await bench.notified(0)), 'it notified for a queue that was reset');
      },
    },
    {
      id: 'queue-reset/kicked-while-reset',
      clause: '2.6.1.1',
      title: 'takes no buffer of a queue that was reset, also where the driver kicks (V50)',
      isHostile: true,
      run: async (bench, ring) => {
        await bench.serve(bench.layOut(0));
        resetQueue(bench.transport, ring.index);
        ring.give(bench.layOut(1).segments);
        await returnsNothing(bench, ring, 'it returned a buffer of a queue that was reset');
      },
    },
  ]),
  startedCase({
    id: 'queue-reset/not-negotiated',
    clause: '2.6.1',
    title: 'survives the reset of a queue without RING_RESET (V50)',
    isHostile: true,
    needs: [hasRingReset],
    run: async (bench) => {
      try {
        bench.transport.resetQueue(0);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        bench.skip('the transport does not let a driver do so');
      }
      await bench.settle();
    },
  }),
  ...startedCases({ clause: '3.4.2', layouts: BOTH_LAYOUTS, needs: [hasSuspend], start: SUSPEND }, [
    {
      id: 'suspend/resumes',
      title: 'suspends, resumes, and serves on the same rings',
      run: async (bench) => {
        for (let n = 0; n < 3; n++) {
          await bench.serveMany(5, 2);
          suspendDevice(bench.transport);
          resumeDevice(bench.transport);
        }
        await bench.serveMany(5, 2);
      },
    },
    {
      id: 'suspend/touches-nothing',
      title: 'takes no buffer while suspended, and takes it when it resumes',
      run: async (bench, ring) => {
        await bench.serve(bench.layOut(0));
        suspendDevice(bench.transport);
        bench.drain();
        const laid = bench.layOut(1);
        ring.give(laid.segments);
        await returnsNothing(bench, ring, 'it returned a buffer while it was suspended');
        bench.check(!(await bench.notified(0)), 'it notified while it was suspended');
        resumeDevice(bench.transport);
        ring.kick();
        await bench.takeBack(laid, ring);
      },
    },
    {
      id: 'suspend/returned-all',
      level: 'SHOULD',
      title: 'has returned every buffer that it took when it is suspended',
      run: async (bench, ring) => {
        for (let n = 0; n < 4; n++) ring.give(bench.layOut(n).segments);
        suspendDevice(bench.transport);
        let taken = 0;
        while (ring.take() !== undefined) taken++;
        await returnsNothing(bench, ring, `it returned a buffer after it was suspended (${taken} before)`);
      },
    },
  ]),
  startedCase({
    id: 'order/in-order',
    clause: '6.2',
    title: 'returns buffers in the order in which they were made available, with IN_ORDER',
    layouts: BOTH_LAYOUTS,
    needs: [offers(VIRTIO_F_IN_ORDER)],
    start: { with: [VIRTIO_F_IN_ORDER], size: 32 },
    run: async (bench, ring) => {
      for (let round = 0; round < 12; round++) {
        const given = Array.from({ length: 6 }, (_, n) => bench.layOut(n, n % 2 === 0 ? {} : { readable: [3] }));
        const ids = given.map(({ segments }) => ring.add(segments));
        ring.publish();
        ring.kick();
        for (const [i, id] of ids.entries()) {
          const returned = await ring.takeNext();
          bench.equal(`used id ${i} of round ${round}`, returned.id, id);
          bench.equal('what is wrong', given[i]!.check(returned) ?? 'nothing', 'nothing');
        }
      }
      bench.check(ring.take() === undefined, 'it returned a buffer more than it had');
    },
  }),
];
