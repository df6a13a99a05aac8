import { BOTH_LAYOUTS } from '@virtio-platform/core';
import { closeDescriptor, KickPipe, MemoryMapping } from '@virtio-platform/host';
import { payloadOf } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import {
  protocolCase,
  type ProtocolCase,
  protocolCases,
  speaks,
  startedProtocolCase,
} from '../../protocol/protocol-case.ts';
import { PROTOCOL_FEATURES, REQUESTS, VERSION } from '../../protocol/requests.ts';

const hasInflight = [speaks('INFLIGHT_SHMFD')];
/** Bytes of a queue's region in front of its descriptors (split). */
const SPLIT_HEADER = 16;
const SPLIT_ENTRY = 16;
const SIZE = 16;

/** The in-flight memory of a back-end, which a front-end keeps for it. */
interface Inflight {
  readonly descriptor: number;
  readonly payload: Uint8Array;
  readonly size: number;
  readonly offset: number;
}

/** Asks a back-end for its in-flight memory. The caller closes the descriptor. */
function getInflight(bench: ProtocolBench): Inflight {
  bench.frontEnd.send('GET_INFLIGHT_FD', inflightRequest(bench));
  const { payload, descriptors } = bench.frontEnd.receive('GET_INFLIGHT_FD');
  const [descriptor, ...more] = descriptors;
  for (const other of more) closeDescriptor(other);
  if (payload.byteLength < 20) bench.fail(`its answer to GET_INFLIGHT_FD has ${payload.byteLength} bytes`);
  if (descriptor === undefined) bench.fail('its answer to GET_INFLIGHT_FD has no descriptor');
  const size = Number(payload.getBigUint64(0, true));
  return { descriptor, payload: new Uint8Array(payload.buffer), size, offset: Number(payload.getBigUint64(8, true)) };
}

/** A front-end with so many queues, each of {@link SIZE}. */
function inflightRequest({ queues }: ProtocolBench): Uint8Array {
  return payloadOf(0n, 0n, (Math.max(...queues) + 1) | (SIZE << 16), 0);
}

/** Opens the conversation and gives the back-end its in-flight memory. */
function startWith(bench: ProtocolBench, { descriptor, payload }: Inflight): void {
  bench.tell('SET_INFLIGHT_FD', payload, [descriptor]);
  bench.share();
}

/** The front-end goes away, at some point of what it does. */
const LEAVES: Readonly<Record<string, (bench: ProtocolBench) => void | Promise<void>>> = {
  'at-once': () => {},
  'after-features': ({ frontEnd }) => void frontEnd.askU64('GET_FEATURES'),
  'without-waiting': ({ frontEnd }) => {
    // In one piece: the back-end still has answers to send when the connection ends. A socket holds all of them, since
    // a back-end that waits for room is told of the end without a signal.
    const message = payloadOf(REQUESTS.GET_FEATURES, VERSION, 0);
    frontEnd.sendBytes(new Uint8Array(Buffer.concat(Array.from({ length: 250 }, () => message))));
  },
  'after-memory': (bench) => {
    bench.greet();
    bench.share();
  },
  'before-enable': (bench) => void bench.start({ isHeld: true }),
  'while-running': async (bench) => {
    bench.start();
    await bench.serve(2);
  },
  'with-buffers': (bench) => {
    const ring = bench.start();
    for (let n = 0; n < 4; n++) ring.give(bench.layOut(n).segments);
  },
  'with-unpublished-buffers': (bench) => {
    const ring = bench.start();
    for (let n = 0; n < 4; n++) ring.add(bench.layOut(n).segments);
    ring.kick();
  },
  stopped: (bench) => {
    bench.start();
    bench.stop();
  },
};

/** Connections that end and begin again, and buffers that were in flight. */
export const CONNECTION_CASES: readonly ProtocolCase[] = [
  ...Object.entries(LEAVES).map(([when, leave]): ProtocolCase => ({
    id: `vhost-user/reconnect-${when}`,
    clause: 'vhost-user: Communication',
    level: 'MUST',
    title: `serves a new connection after one that ended ${when.replaceAll('-', ' ')}`,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      // Which comes first, the answers or the end, is a matter of chance.
      const times = when === 'without-waiting' ? 12 : 3;
      for (let n = 0; n < times; n++) {
        await leave(bench);
        bench.disconnect();
        await bench.settle();
        await bench.connect();
      }
      bench.renewMemory();
      bench.start();
      await bench.serve(2);
    },
  })),
  protocolCase({
    id: 'vhost-user/reconnect-often',
    clause: 'vhost-user: Communication',
    title: 'serves the 40th connection as the first one',
    run: async (bench) => {
      for (let n = 0; n < 40; n++) {
        bench.renewMemory();
        bench.start();
        await bench.serve();
        await bench.connect();
      }
    },
  }),
  startedProtocolCase({
    id: 'vhost-user/new-connection-is-new',
    clause: 'vhost-user: Communication',
    title: 'has forgotten on a new connection that acknowledgements were negotiated and rings enabled',
    needs: [speaks('REPLY_ACK')],
    run: async (bench) => {
      await bench.serve();
      await bench.connect();
      bench.renewMemory();
      bench.greet({ accept: [] });
      bench.synchronise();
      bench.check(!bench.frontEnd.hasNews(), 'it acknowledged a command without REPLY_ACK');
      bench.share();
      bench.startQueues();
      await bench.serve();
    },
  }),
  ...protocolCases({ level: 'SHOULD' }, [
    {
      id: 'vhost-user/second-connection',
      clause: 'vhost-user: Communication',
      title: 'serves its front-end on while another one connects',
      run: async (bench) => {
        bench.start();
        await bench.serve();
        try {
          await bench.connectBeside();
        } catch {
          // It does not accept, which is its right.
        }
        await bench.settle();
        await bench.serve(3);
      },
    },
    {
      id: 'vhost-user/closes-descriptors',
      clause: 'vhost-user: Communication',
      title: 'closes the descriptors of a connection that ended',
      run: async (bench) => {
        const kick = new KickPipe();
        try {
          bench.start();
          bench.tell('SET_VRING_KICK', payloadOf(BigInt(bench.queue)), [kick.descriptor]);
          bench.synchronise();
          kick.closeReadEnd();
          bench.disconnect();
          // A back-end that ends with its connection closes them, too.
          await bench.until('close a descriptor of a connection that ended', () => !kick.signal());
        } finally {
          kick.dispose();
        }
      },
    },
    {
      id: 'vhost-user/closes-replaced-descriptor',
      clause: 'vhost-user: SET_VRING_KICK',
      title: 'closes a descriptor for kicks when another one comes in its place',
      run: async (bench) => {
        const kick = new KickPipe();
        try {
          bench.start();
          bench.tell('SET_VRING_KICK', payloadOf(BigInt(bench.queue)), [kick.descriptor]);
          kick.closeReadEnd();
          bench.tell('SET_VRING_KICK', payloadOf(BigInt(bench.queue)), [bench.replace('kick').descriptor]);
          bench.synchronise();
          await bench.until('close the descriptor that was replaced', () => !kick.signal());
          await bench.serve();
        } finally {
          kick.dispose();
        }
      },
    },
    {
      id: 'vhost-user/closes-spare-descriptor',
      clause: 'vhost-user: Communication',
      title: 'closes a descriptor that came with a message which has none',
      isHostile: true,
      run: async (bench) => {
        const kick = new KickPipe();
        try {
          bench.greet();
          bench.frontEnd.send('SET_OWNER', undefined, { descriptors: [kick.descriptor], flags: VERSION });
          kick.closeReadEnd();
          try {
            bench.synchronise();
            const deadline = performance.now() + bench.patienceMs / 4;
            while (kick.signal() && performance.now() < deadline) await bench.settle(5);
          } catch {
            return;
          }
          bench.check(!kick.signal(), 'it keeps a descriptor that it has no use for');
        } finally {
          kick.dispose();
        }
      },
    },
  ]),
  ...protocolCases({ needs: hasInflight }, [
    {
      id: 'vhost-user/inflight-memory',
      clause: 'vhost-user: GET_INFLIGHT_FD',
      title: 'gives in-flight memory for the queues and their size, all of which a file has',
      run: (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'INFLIGHT_SHMFD'] });
        const { descriptor, payload, size, offset } = getInflight(bench);
        try {
          bench.check(size >= SPLIT_HEADER + SIZE * SPLIT_ENTRY, `the in-flight memory has ${size} bytes`);
          const view = new DataView(payload.buffer);
          bench.equal('the queues of the in-flight memory', view.getUint16(16, true), Math.max(...bench.queues) + 1);
          bench.equal('the size of its queues', view.getUint16(18, true), SIZE);
          const mapping = MemoryMapping.ofFile(descriptor, offset + size);
          const isNew = new Uint8Array(mapping.buffer, offset, size).every((byte) => byte === 0);
          mapping.dispose();
          bench.check(isNew, 'the in-flight memory is not zero');
        } finally {
          closeDescriptor(descriptor);
        }
      },
    },
    {
      id: 'vhost-user/inflight-serves',
      clause: 'vhost-user: Inflight I/O tracking',
      title: 'serves with in-flight memory, which has no buffer once all came back',
      run: async (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'INFLIGHT_SHMFD'] });
        const inflight = getInflight(bench);
        try {
          startWith(bench, inflight);
          bench.startQueues();
          await bench.serve(5);
          bench.stop();
          const mapping = MemoryMapping.ofFile(inflight.descriptor, inflight.offset + inflight.size);
          const bytes = new Uint8Array(mapping.buffer, inflight.offset, inflight.size);
          const left = Array.from({ length: SIZE }, (_, i) => bytes[SPLIT_HEADER + i * SPLIT_ENTRY]).indexOf(1);
          mapping.dispose();
          bench.check(left < 0, `descriptor ${left} is in flight after all buffers came back`);
        } finally {
          closeDescriptor(inflight.descriptor);
        }
      },
    },
    {
      id: 'vhost-user/inflight-resubmitted',
      clause: 'vhost-user: SET_INFLIGHT_FD',
      title: 'serves a buffer again that was in flight when the back-end before it ended',
      run: async (bench) => {
        bench.greet({ accept: ['REPLY_ACK', 'INFLIGHT_SHMFD'] });
        const inflight = getInflight(bench);
        try {
          // As a back-end leaves it that ended with one buffer, head 0, in flight.
          const mapping = MemoryMapping.ofFile(inflight.descriptor, inflight.offset + inflight.size);
          const perQueue = inflight.size / (Math.max(...bench.queues) + 1);
          const view = new DataView(mapping.buffer, inflight.offset + bench.queue * perQueue);
          view.setUint16(8, 1, true);
          view.setUint16(10, SIZE, true);
          view.setUint8(SPLIT_HEADER, 1);
          view.setBigUint64(SPLIT_HEADER + 8, 1n, true);
          mapping.dispose();
          startWith(bench, inflight);
          const messages = bench.prepare(bench.queue, { size: SIZE });
          const ring = bench.ring();
          const laid = bench.layOut();
          const id = ring.add(laid.segments);
          ring.publish();
          for (const queue of bench.queues) if (queue !== bench.queue) bench.tellAll(bench.prepare(queue));
          bench.tellAll(messages);
          for (const queue of bench.queues) bench.enable(queue);
          ring.kick();
          await bench.takeBack(laid, ring, id);
          bench.check(ring.take() === undefined, 'it returned the buffer twice');
          await bench.serve(2);
        } finally {
          closeDescriptor(inflight.descriptor);
        }
      },
    },
  ]),
  protocolCase({
    id: 'vhost-user/in-band-needs-others',
    clause: 'vhost-user: In-band notifications',
    title: 'closes the connection of a front-end that accepts in-band notifications without what they need',
    isHostile: true,
    needs: [speaks('INBAND_NOTIFICATIONS')],
    run: async (bench) => {
      bench.frontEnd.askU64('GET_FEATURES');
      bench.frontEnd.askU64('GET_PROTOCOL_FEATURES');
      const bits = 1n << BigInt(PROTOCOL_FEATURES.INBAND_NOTIFICATIONS);
      bench.frontEnd.send('SET_PROTOCOL_FEATURES', payloadOf(bits));
      await bench.settle();
      bench.check(bench.frontEnd.isClosed(), 'it kept the connection');
    },
  }),
];
