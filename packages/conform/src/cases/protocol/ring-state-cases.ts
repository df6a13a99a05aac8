import { BOTH_LAYOUTS, type ConformRing, returnsNothing } from '@virtio-platform/core';
import type { QueueLayout } from '@virtio-platform/core/queue';
import { payloadOf } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import {
  protocolCase,
  type ProtocolCase,
  startedProtocolCase,
  startedProtocolCases,
} from '../../protocol/protocol-case.ts';
import { NO_DESCRIPTOR, type RequestName } from '../../protocol/requests.ts';

/** The position of a ring that served `buffers` of one descriptor for each of its segments. */
function checkBase(bench: ProtocolBench, ring: ConformRing, base: number): void {
  // The upper half of a packed base, that of the used ring, is younger than many back-ends.
  const seen = bench.layout === 'packed' ? base & 0xffff : base;
  bench.equal('the base at which the ring stopped', seen, ring.nextAvailable);
}

/** The base that SET_VRING_BASE takes for a position. */
function baseOf(bench: ProtocolBench, position: number): number {
  return bench.layout === 'packed' ? ((position << 16) | position) >>> 0 : position;
}

/** Goes on with a ring that was stopped, in memory as it is. */
function goOn(bench: ProtocolBench, ring: ConformRing): void {
  const { queue } = bench;
  bench.tell('SET_VRING_NUM', payloadOf(queue, ring.size));
  bench.tell('SET_VRING_BASE', payloadOf(queue, baseOf(bench, ring.nextAvailable)));
  bench.tell('SET_VRING_ADDR', bench.addressPayload(ring));
  bench.tell('SET_VRING_KICK', payloadOf(BigInt(queue)), [bench.replace('kick').descriptor]);
  bench.tell('SET_VRING_CALL', payloadOf(BigInt(queue)), [bench.replace('call').descriptor]);
  bench.enable(queue);
  // A device may look at its ring only when it is kicked.
  ring.kick();
}

/** The order of the messages that set up a ring, which is the front-end's choice. */
const ORDERS: Readonly<Record<string, readonly RequestName[]>> = {
  'call-before-kick': ['SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ADDR', 'SET_VRING_CALL', 'SET_VRING_KICK'],
  'call-first': ['SET_VRING_CALL', 'SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ADDR', 'SET_VRING_KICK'],
  'base-first': ['SET_VRING_BASE', 'SET_VRING_NUM', 'SET_VRING_ADDR', 'SET_VRING_CALL', 'SET_VRING_KICK'],
};

/** Where a ring of 16 may start: in it, at its end, and where an index or a wrap counter wraps. */
const STARTS: Readonly<Record<string, Readonly<Record<QueueLayout, number>>>> = {
  'in-the-middle': { split: 7, packed: 0x8007_8007 },
  'at-the-end': { split: 15, packed: 0x800f_800f },
  'where-it-wraps': { split: 65_530, packed: 0x000e_000e },
};

/** How rings start, run, change and stop. */
export const RING_STATE_CASES: readonly ProtocolCase[] = [
  ...Object.entries(ORDERS).map(([name, order]): ProtocolCase => ({
    id: `vhost-user/ring-set-up-${name}`,
    clause: 'vhost-user: Ring states',
    level: 'MUST',
    title: `serves a ring whose messages came in another order: ${name.replaceAll('-', ' ')}`,
    run: async (bench) => {
      bench.greet();
      bench.share();
      for (const queue of bench.queues) {
        const messages = bench.prepare(queue);
        bench.tellAll(order.map((request) => messages.find((message) => message.request === request)!));
        bench.enable(queue);
      }
      await bench.serve(2);
    },
  })),
  ...Object.entries(STARTS).map(([name, start]): ProtocolCase => ({
    id: `vhost-user/ring-starts-${name}`,
    clause: 'vhost-user: SET_VRING_BASE',
    level: 'MUST',
    title: `serves a ring that goes on ${name.replaceAll('-', ' ')}`,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const ring = bench.start({ start: start[bench.layout] });
      await bench.serve(40);
      checkBase(bench, ring, bench.stop());
    },
  })),
  protocolCase({
    id: 'vhost-user/base-of-an-idle-ring',
    clause: 'vhost-user: GET_VRING_BASE',
    title: 'answers with the base that was set, where the ring served nothing',
    layouts: BOTH_LAYOUTS,
    run: (bench) => checkBase(bench, bench.start({ start: STARTS['in-the-middle']![bench.layout] }), bench.stop()),
  }),
  ...startedProtocolCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'vhost-user/base-after-requests',
      clause: 'vhost-user: GET_VRING_BASE',
      title: 'answers with where the ring stopped, after each of several requests',
      run: async (bench, ring) => {
        for (let n = 0; n < 20; n++) {
          await bench.serve(n % 3);
          checkBase(bench, ring, bench.stop());
          goOn(bench, ring);
        }
        await bench.serve();
      },
    },
    {
      id: 'vhost-user/stopped-ring',
      clause: 'vhost-user: Ring states',
      title: 'takes no buffer of a ring that was stopped, kicked or not',
      run: async (bench, ring) => {
        await bench.serve();
        bench.stop();
        ring.give(bench.layOut(1).segments);
        await returnsNothing(bench, ring, 'it returned a buffer of a ring that was stopped');
      },
    },
    {
      id: 'vhost-user/stopped-with-buffers',
      clause: 'vhost-user: GET_VRING_BASE',
      title: 'has returned what it took when it answers, and touches the ring no more',
      run: async (bench, ring) => {
        for (let n = 0; n < 4; n++) ring.give(bench.layOut(n).segments);
        bench.stop();
        while (ring.take() !== undefined);
        await returnsNothing(bench, ring, 'it returned a buffer after it had answered');
      },
    },
    {
      id: 'vhost-user/goes-on',
      clause: 'vhost-user: SET_VRING_BASE',
      title: 'goes on with a ring that was stopped, with the buffers that were added meanwhile',
      run: async (bench, ring) => {
        await bench.serve(5);
        const before = ring.nextAvailable;
        checkBase(bench, ring, bench.stop());
        const laid = bench.layOut(5);
        bench.tell('SET_VRING_NUM', payloadOf(bench.queue, ring.size));
        bench.tell('SET_VRING_BASE', payloadOf(bench.queue, baseOf(bench, before)));
        bench.tell('SET_VRING_ADDR', bench.addressPayload(ring));
        const id = ring.add(laid.segments);
        ring.publish();
        bench.tell('SET_VRING_KICK', payloadOf(BigInt(bench.queue)), [bench.replace('kick').descriptor]);
        bench.tell('SET_VRING_CALL', payloadOf(BigInt(bench.queue)), [bench.replace('call').descriptor]);
        bench.enable(bench.queue);
        ring.kick();
        await bench.takeBack(laid, ring, id);
        await bench.serve(20);
      },
    },
    {
      id: 'vhost-user/other-size',
      clause: 'vhost-user: SET_VRING_NUM',
      title: 'takes rings of other sizes, each after a stop',
      start: { size: 4 },
      run: async (bench) => {
        for (const size of [64, 8, 256]) {
          await bench.serve(5);
          bench.stop();
          bench.tellAll(bench.prepare(bench.queue, { size }));
          bench.enable(bench.queue);
        }
        await bench.serve(5);
      },
    },
    {
      id: 'vhost-user/kicked-before-enabled',
      clause: 'vhost-user: SET_VRING_ENABLE',
      title: 'serves what was kicked before the ring was enabled, once it is',
      start: { isHeld: true },
      run: async (bench, ring) => {
        const laid = bench.layOut();
        const id = ring.give(laid.segments);
        await bench.settle();
        for (const queue of bench.queues) bench.enable(queue);
        await bench.takeBack(laid, ring, id);
        await bench.serve(2);
      },
    },
    {
      id: 'vhost-user/disabled-and-enabled',
      clause: 'vhost-user: SET_VRING_ENABLE',
      title: 'serves a ring that was disabled and enabled again',
      run: async (bench) => {
        for (let n = 0; n < 3; n++) {
          await bench.serve(3);
          bench.enable(bench.queue, false);
          bench.enable(bench.queue);
        }
        await bench.serve(3);
      },
    },
    {
      id: 'vhost-user/call-replaced',
      clause: 'vhost-user: SET_VRING_CALL',
      title: 'notifies by the descriptor that came last, while the ring runs',
      run: async (bench) => {
        await bench.serve();
        for (let n = 0; n < 3; n++) {
          const call = bench.replace('call');
          bench.tell('SET_VRING_CALL', payloadOf(BigInt(bench.queue)), [call.descriptor]);
          bench.synchronise();
          // A back-end may notify at once.
          bench.drain();
          await bench.serve();
          bench.check(await bench.notified(), 'it did not notify by the new descriptor');
        }
      },
    },
    {
      id: 'vhost-user/kick-replaced',
      clause: 'vhost-user: SET_VRING_KICK',
      title: 'hears kicks by the descriptor that came last, while the ring runs',
      run: async (bench) => {
        await bench.serve();
        for (let n = 0; n < 3; n++) {
          bench.tell('SET_VRING_KICK', payloadOf(BigInt(bench.queue)), [bench.replace('kick').descriptor]);
          await bench.serve(2);
        }
      },
    },
    {
      id: 'vhost-user/notifies',
      clause: 'vhost-user: SET_VRING_CALL',
      title: 'notifies of each buffer, after the descriptor came before that of the kicks',
      run: async (bench) => {
        bench.synchronise();
        bench.drain();
        for (let n = 0; n < 3; n++) {
          await bench.serve();
          bench.check(await bench.notified(), `it did not notify of buffer ${n}`);
        }
      },
    },
  ]),
  protocolCase({
    id: 'vhost-user/no-call-descriptor',
    clause: 'vhost-user: SET_VRING_CALL',
    title: 'serves a ring without a descriptor for notifications, which a front-end polls',
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      bench.greet();
      bench.share();
      for (const queue of bench.queues) {
        for (const message of bench.prepare(queue)) {
          if (message.request !== 'SET_VRING_CALL') bench.tell(message.request, message.payload, message.descriptors);
          else bench.tell('SET_VRING_CALL', payloadOf(BigInt(queue | NO_DESCRIPTOR)));
        }
        bench.enable(queue);
      }
      await bench.serve(3);
    },
  }),
  startedProtocolCase({
    id: 'vhost-user/no-kick-descriptor',
    clause: 'vhost-user: SET_VRING_KICK',
    title: 'polls a ring without a descriptor for kicks',
    run: async (bench) => {
      bench.tell('SET_VRING_KICK', payloadOf(BigInt(bench.queue | NO_DESCRIPTOR)));
      const ring = bench.ring();
      const laid = bench.layOut();
      const id = ring.add(laid.segments);
      ring.publish();
      await bench.takeBack(laid, ring, id);
    },
  }),
  startedProtocolCase({
    id: 'vhost-user/error-descriptor',
    clause: 'vhost-user: SET_VRING_ERR',
    title: 'takes a descriptor for errors, also while the ring runs, and a message without one',
    run: async (bench) => {
      bench.tell('SET_VRING_ERR', payloadOf(BigInt(bench.queue)), [bench.doorbell().descriptor]);
      await bench.serve();
      bench.tell('SET_VRING_ERR', payloadOf(BigInt(bench.queue | NO_DESCRIPTOR)));
      await bench.serve();
    },
  }),
];
