import { BOTH_LAYOUTS } from '@virtio-platform/core';
import { payloadOf, tablePayload } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import {
  protocolCase,
  type ProtocolCase,
  protocolCases,
  type ProtocolNeed,
  speaks,
  startedProtocolCase,
  startedProtocolCases,
} from '../../protocol/protocol-case.ts';
import { HAS_PROTOCOL_FEATURES, NEEDS_REPLY, VERSION, type RequestName } from '../../protocol/requests.ts';

const hasProtocolFeatures: ProtocolNeed = ({ features }) =>
  features.has(HAS_PROTOCOL_FEATURES) ? undefined : 'the back-end offers no protocol features';
const acknowledges = [hasProtocolFeatures, speaks('REPLY_ACK')];
/** The first protocol feature bit that the document gives no meaning. */
const FIRST_UNKNOWN = 21;
const MOST_QUEUES = 256;

/** A command of the start, as it is sent to a back-end that has all before it. */
interface Command {
  readonly request: RequestName;
  readonly send: (bench: ProtocolBench) => bigint | undefined;
}

/** The commands that a front-end asks to be acknowledged, in their order. */
const COMMANDS: readonly Command[] = [
  { request: 'SET_OWNER', send: (bench) => bench.defy('SET_OWNER') },
  {
    request: 'SET_FEATURES',
    send: (bench) => bench.defy('SET_FEATURES', payloadOf((1n << 32n) | (1n << BigInt(HAS_PROTOCOL_FEATURES)))),
  },
  {
    request: 'SET_MEM_TABLE',
    send: (bench) => bench.defy('SET_MEM_TABLE', tablePayload([bench.memory.region()]), [bench.memory.descriptor]),
  },
  ...(['SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ADDR', 'SET_VRING_KICK', 'SET_VRING_CALL'] as const).map(
    (request): Command => ({
      request,
      send: (bench) => {
        const message = bench.prepare().find((each) => each.request === request)!;
        return bench.defy(request, message.payload, message.descriptors);
      },
    }),
  ),
  {
    request: 'SET_VRING_ERR',
    send: (bench) => bench.defy('SET_VRING_ERR', payloadOf(BigInt(bench.queue)), [bench.doorbell().descriptor]),
  },
  { request: 'SET_VRING_ENABLE', send: (bench) => bench.defy('SET_VRING_ENABLE', payloadOf(bench.queue, 1)) },
];

/** Brings a back-end to where a command comes, whatever it acknowledges. */
function comeTo(bench: ProtocolBench, request: RequestName): void {
  bench.frontEnd.askU64('GET_FEATURES');
  bench.frontEnd.askU64('GET_PROTOCOL_FEATURES');
  bench.greet();
  const before = COMMANDS.findIndex((command) => command.request === request);
  if (before > 2) bench.share();
  if (before <= 3) return;
  for (const message of bench.prepare()) {
    if (message.request === request) break;
    bench.frontEnd.send(message.request, message.payload, { descriptors: message.descriptors });
  }
}

/** The first messages of a connection, and the acknowledgement of commands. */
export const GREETING_CASES: readonly ProtocolCase[] = [
  protocolCase({
    id: 'vhost-user/get-features',
    clause: 'vhost-user: GET_FEATURES',
    title: 'answers GET_FEATURES, as the first message of a connection, with 64 bits',
    run: ({ frontEnd }) => void frontEnd.askU64('GET_FEATURES'),
  }),
  protocolCase({
    id: 'vhost-user/features-stay',
    clause: 'vhost-user: GET_FEATURES',
    title: 'offers the same features whenever it is asked, also once some are accepted',
    run: (bench) => {
      const first = bench.frontEnd.askU64('GET_FEATURES');
      bench.equal('the offer, asked twice,', bench.frontEnd.askU64('GET_FEATURES'), first);
      bench.start();
      bench.equal('the offer after the start', bench.frontEnd.askU64('GET_FEATURES'), first);
    },
  }),
  ...protocolCases({ clause: 'vhost-user: GET_PROTOCOL_FEATURES', needs: [hasProtocolFeatures] }, [
    {
      id: 'vhost-user/protocol-features-before-features',
      title: 'answers GET_PROTOCOL_FEATURES before SET_FEATURES',
      run: ({ frontEnd }) => void frontEnd.askU64('GET_PROTOCOL_FEATURES'),
    },
    {
      id: 'vhost-user/protocol-features-stay',
      title: 'offers the same protocol features whenever it is asked',
      run: (bench) => {
        const first = bench.frontEnd.askU64('GET_PROTOCOL_FEATURES');
        bench.start();
        bench.equal('the offer after the start', bench.frontEnd.askU64('GET_PROTOCOL_FEATURES'), first);
      },
    },
  ]),
  protocolCase({
    id: 'vhost-user/protocol-features-known',
    clause: 'vhost-user: Protocol features',
    level: 'SHOULD',
    title: 'offers no protocol feature that the document does not have',
    needs: [hasProtocolFeatures],
    run: (bench) => {
      const unknown = bench.frontEnd.askU64('GET_PROTOCOL_FEATURES') >> BigInt(FIRST_UNKNOWN);
      bench.check(unknown === 0n, `it offers bits above ${FIRST_UNKNOWN - 1}: 0x${unknown.toString(16)} shifted`);
    },
  }),
  ...startedProtocolCases({ clause: 'vhost-user: Ring states', layouts: BOTH_LAYOUTS }, [
    {
      id: 'vhost-user/no-protocol-features',
      title: 'serves a front-end that accepts no protocol feature',
      start: { accept: [] },
      run: async (bench) => {
        await bench.serve(3);
      },
    },
    {
      id: 'vhost-user/rings-start-enabled',
      title: 'starts rings enabled for a front-end that has not accepted the feature of the protocol features',
      start: { isPlain: true },
      run: async (bench) => {
        await bench.serve(3);
      },
    },
  ]),
  protocolCase({
    id: 'vhost-user/queue-num',
    clause: 'vhost-user: GET_QUEUE_NUM',
    title: 'says that it has as many queues as its device needs, and no more than a byte can count',
    needs: [speaks('MQ')],
    run: (bench) => {
      bench.greet();
      const count = bench.frontEnd.askU64('GET_QUEUE_NUM');
      bench.check(count >= 1n && count <= BigInt(MOST_QUEUES), `it says that it has ${count} queues`);
      bench.equal('the number, asked twice,', bench.frontEnd.askU64('GET_QUEUE_NUM'), count);
    },
  }),
  ...COMMANDS.map(({ request, send }): ProtocolCase => ({
    id: `vhost-user/acknowledges-${nameOf(request)}`,
    clause: 'vhost-user: REPLY_ACK',
    level: 'MUST',
    title: `acknowledges ${request} with 0, where it is asked to`,
    needs: acknowledges,
    run: (bench) => {
      comeTo(bench, request);
      bench.equal(`the acknowledgement of ${request}`, send(bench) ?? 0n, 0n);
    },
  })),
  ...protocolCases({ clause: 'vhost-user: REPLY_ACK', needs: acknowledges }, [
    {
      id: 'vhost-user/answers-only-when-asked',
      title: 'sends no acknowledgement that it was not asked for',
      run: async (bench) => {
        bench.greet({ accept: ['REPLY_ACK'] });
        const { frontEnd } = bench;
        frontEnd.send('SET_OWNER');
        frontEnd.send('SET_MEM_TABLE', tablePayload([bench.memory.region()]), {
          descriptors: [bench.memory.descriptor],
        });
        for (const { request, payload, descriptors } of bench.prepare())
          frontEnd.send(request, payload, { descriptors });
        frontEnd.send('SET_VRING_ENABLE', payloadOf(bench.queue, 1));
        bench.synchronise();
        await bench.settle();
        bench.check(!frontEnd.hasNews(), 'it sent something that it was not asked for');
      },
    },
    {
      id: 'vhost-user/one-answer',
      title: 'answers a query once, also where an acknowledgement is asked for',
      run: async (bench) => {
        bench.greet();
        bench.frontEnd.askU64('GET_FEATURES', { flags: VERSION | NEEDS_REPLY });
        await bench.settle();
        bench.check(!bench.frontEnd.hasNews(), 'it answered GET_FEATURES twice');
      },
    },
    {
      id: 'vhost-user/refusal-acknowledged',
      level: 'SHOULD',
      title: 'acknowledges a command that it does not know with a number other than 0, or closes the connection',
      isHostile: true,
      run: async (bench) => {
        bench.greet();
        const isRefused = bench.defy(201) !== 0n;
        await bench.settle();
        // One that closes the connection afterwards has refused, too.
        bench.check(isRefused || bench.frontEnd.isClosed(), 'it says that request 201 succeeded');
      },
    },
  ]),
  startedProtocolCase({
    id: 'vhost-user/owner-again',
    clause: 'vhost-user: SET_OWNER',
    level: 'SHOULD',
    title: 'serves on after SET_OWNER came twice',
    run: async (bench) => {
      bench.frontEnd.send('SET_OWNER');
      await bench.serve(2);
    },
  }),
  startedProtocolCase({
    id: 'vhost-user/reset-owner',
    clause: 'vhost-user: RESET_OWNER',
    level: 'SHOULD',
    title: 'ignores RESET_OWNER or disables its rings, and keeps the connection',
    run: async (bench) => {
      await bench.serve();
      bench.frontEnd.send('RESET_OWNER');
      bench.synchronise();
      for (const queue of bench.queues) bench.enable(queue);
      await bench.serve(2);
    },
  }),
];

/** `SET_VRING_NUM` as part of an id: `vring-num`. */
function nameOf(request: RequestName): string {
  return request.replace(/^SET_/, '').toLowerCase().replaceAll('_', '-');
}
