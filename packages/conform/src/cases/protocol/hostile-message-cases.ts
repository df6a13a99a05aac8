import { payloadOf, regionPayload, tablePayload } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import { protocolCase, type ProtocolCase, type ProtocolNeed, speaks } from '../../protocol/protocol-case.ts';
import { NEEDS_REPLY, PROTOCOL_FEATURES, VERSION, type RequestName } from '../../protocol/requests.ts';

/** A message with a payload: what it has, and what it needs of the back-end. */
interface Sized {
  readonly request: RequestName;
  readonly payload: (bench: ProtocolBench) => Uint8Array;
  readonly descriptors?: (bench: ProtocolBench) => readonly number[];
  readonly needs?: readonly ProtocolNeed[];
}

const state = ({ queue }: ProtocolBench): Uint8Array => payloadOf(queue, 0);
const ofQueue = ({ queue }: ProtocolBench): Uint8Array => payloadOf(BigInt(queue));
const event = (bench: ProtocolBench): readonly number[] => [bench.doorbell().descriptor];
const memory = (bench: ProtocolBench): readonly number[] => [bench.memory.descriptor];
const hasConfig = [speaks('CONFIG')];
const hasSlots = [speaks('CONFIGURE_MEM_SLOTS')];
const hasInflight = [speaks('INFLIGHT_SHMFD')];

/** Every message of a front-end that has a payload. */
const MESSAGES: readonly Sized[] = [
  { request: 'SET_FEATURES', payload: () => payloadOf(1n << 32n) },
  { request: 'SET_PROTOCOL_FEATURES', payload: () => payloadOf(0n) },
  { request: 'SET_MEM_TABLE', payload: (bench) => tablePayload([bench.memory.region()]), descriptors: memory },
  { request: 'SET_VRING_NUM', payload: ({ queue }) => payloadOf(queue, 16) },
  { request: 'SET_VRING_ADDR', payload: (bench) => bench.addressPayload(bench.ring()) },
  { request: 'SET_VRING_BASE', payload: state },
  { request: 'GET_VRING_BASE', payload: state },
  { request: 'SET_VRING_KICK', payload: ofQueue, descriptors: event },
  { request: 'SET_VRING_CALL', payload: ofQueue, descriptors: event },
  { request: 'SET_VRING_ERR', payload: ofQueue, descriptors: event },
  { request: 'SET_VRING_ENABLE', payload: ({ queue }) => payloadOf(queue, 1) },
  { request: 'GET_CONFIG', payload: () => payloadOf(0, 8, 0, 0n), needs: hasConfig },
  { request: 'SET_CONFIG', payload: () => payloadOf(0, 8, 0, 0n), needs: hasConfig },
  {
    request: 'ADD_MEM_REG',
    payload: (bench) => regionPayload(bench.memory.region()),
    descriptors: memory,
    needs: hasSlots,
  },
  { request: 'REM_MEM_REG', payload: (bench) => regionPayload(bench.memory.region()), needs: hasSlots },
  { request: 'GET_INFLIGHT_FD', payload: () => payloadOf(0n, 0n, 0x10_0001, 0), needs: hasInflight },
  {
    request: 'SET_INFLIGHT_FD',
    payload: () => payloadOf(4096n, 0n, 0x10_0001, 0),
    descriptors: memory,
    needs: hasInflight,
  },
  { request: 'SET_STATUS', payload: () => payloadOf(1n), needs: [speaks('STATUS')] },
];

/** What the payload of a message becomes. */
const SIZES: Readonly<Record<string, (right: Uint8Array) => Uint8Array>> = {
  empty: () => new Uint8Array(0),
  short: (right) => right.subarray(0, 4),
  'cut-by-a-byte': (right) => right.subarray(0, right.length - 1),
  long: (right) => new Uint8Array(Buffer.concat([right, new Uint8Array(8)])),
};

/** Numbers that are no request: 0, those between and behind the known ones, and the largest. */
const UNKNOWN = [0, 99, 255, 0xffff_ffff];
/** Flags of a header that no front-end sends. */
const WRONG_FLAGS: Readonly<Record<string, number>> = {
  'version-0': 0,
  'version-2': 2,
  'version-3': 3,
  reply: VERSION | 4,
  reserved: 0xffff_fff0 | VERSION,
};
/** What a header may say of a payload that never comes. */
const BEYOND = [0x1_0000, 0x7fff_ffff, 0xffff_ffff];

/** Messages at a time at which they mean nothing. */
const TOO_EARLY: readonly RequestName[] = [
  'SET_MEM_TABLE',
  'SET_VRING_NUM',
  'SET_VRING_ADDR',
  'SET_VRING_BASE',
  'GET_VRING_BASE',
  'SET_VRING_KICK',
  'SET_VRING_ENABLE',
];

function hostile(id: string, clause: string, title: string, rest: Pick<ProtocolCase, 'needs' | 'run'>): ProtocolCase {
  return { id: `vhost-user/${id}`, clause: `vhost-user: ${clause}`, level: 'MUST', title, isHostile: true, ...rest };
}

/** `SET_VRING_NUM` as part of an id. */
function inId(request: string): string {
  return request.toLowerCase().replaceAll('_', '-');
}

/** Messages of no known form, or out of order. */
export const HOSTILE_MESSAGE_CASES: readonly ProtocolCase[] = [
  ...MESSAGES.flatMap(({ request, payload, descriptors, needs = [] }) =>
    Object.entries(SIZES).map(([size, change]) =>
      hostile(`size-${inId(request)}-${size}`, 'Header', `survives ${request} with a payload that is ${words(size)}`, {
        needs,
        run: (bench) => {
          bench.start({ accept: ['MQ', 'REPLY_ACK', 'CONFIG', 'CONFIGURE_MEM_SLOTS'] });
          bench.frontEnd.send(request, change(payload(bench)), { descriptors: descriptors?.(bench) ?? [] });
          bench.outlast();
        },
      }),
    ),
  ),
  ...BEYOND.map((size) =>
    hostile(`size-beyond-${size.toString(16)}`, 'Header', `survives a header that promises ${size} bytes`, {
      run: async (bench) => {
        bench.start();
        bench.frontEnd.send('SET_FEATURES', payloadOf(0n), { size });
        bench.frontEnd.sendBytes(new Uint8Array(2048));
        await bench.settle();
      },
    }),
  ),
  hostile('header-in-part', 'Header', 'survives a connection that ends in the middle of a header', {
    run: async (bench) => {
      bench.start();
      bench.frontEnd.sendBytes(Uint8Array.of(1, 0, 0, 0, 1));
      await bench.settle();
    },
  }),
  hostile('payload-in-part', 'Header', 'survives a connection that ends in the middle of a payload', {
    run: async (bench) => {
      bench.start();
      bench.frontEnd.send('SET_FEATURES', new Uint8Array(3), { size: 8 });
      await bench.settle();
    },
  }),
  protocolCase({
    id: 'vhost-user/message-in-pieces',
    clause: 'vhost-user: Header',
    level: 'SHOULD',
    title: 'takes a message whose header and payload come one after the other',
    run: async (bench) => {
      bench.greet();
      bench.share();
      bench.frontEnd.send('SET_VRING_NUM', new Uint8Array(0), { size: 8 });
      await bench.settle();
      bench.frontEnd.sendBytes(payloadOf(bench.queue, 16));
      bench.synchronise();
      bench.startQueues();
      await bench.serve();
    },
  }),
  ...UNKNOWN.map((request) =>
    hostile(
      `unknown-${request}`,
      'Front-end message types',
      `survives request ${request}, which the protocol does not have`,
      {
        run: (bench) => {
          bench.start();
          bench.frontEnd.send(request, payloadOf(0n));
          bench.outlast();
        },
      },
    ),
  ),
  ...Object.entries(WRONG_FLAGS).map(([name, flags]) =>
    hostile(`flags-${name}`, 'Header', `survives a header with wrong flags: ${words(name)}`, {
      run: (bench) => {
        bench.start();
        bench.frontEnd.send('SET_OWNER', undefined, { flags });
        bench.outlast();
      },
    }),
  ),
  ...TOO_EARLY.map((request) =>
    hostile(`early-${inId(request)}`, 'Communication', `survives ${request} as the first message`, {
      run: (bench) => {
        const { payload, descriptors } = MESSAGES.find((message) => message.request === request)!;
        bench.prepare();
        bench.frontEnd.send(request, payload(bench), { descriptors: descriptors?.(bench) ?? [] });
        bench.outlast();
      },
    }),
  ),
  hostile('early-kick', 'Ring states', 'survives a kick of a ring that has no addresses', {
    run: async (bench) => {
      bench.greet();
      bench.share();
      const { payload, descriptors } = bench.prepare().find(({ request }) => request === 'SET_VRING_KICK')!;
      bench.tell('SET_VRING_KICK', payload, descriptors);
      bench.tell('SET_VRING_ENABLE', payloadOf(bench.queue, 1));
      bench.kickOf().ring();
      await bench.settle();
    },
  }),
  hostile('features-while-running', 'SET_FEATURES', 'survives other features while a ring runs', {
    run: async (bench) => {
      const ring = bench.start();
      bench.frontEnd.send('SET_FEATURES', payloadOf((1n << 34n) | (1n << 30n) | (1n << 32n)));
      bench.outlast();
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('features-all', 'SET_FEATURES', 'survives a front-end that accepts every feature there can be', {
    run: async (bench) => {
      bench.greet();
      bench.frontEnd.send('SET_FEATURES', payloadOf(0xffff_ffff_ffff_ffffn));
      bench.share();
      const ring = bench.startQueues();
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('features-none', 'SET_FEATURES', 'survives a front-end that accepts no feature at all', {
    run: async (bench) => {
      bench.greet();
      bench.frontEnd.send('SET_FEATURES', payloadOf(0n));
      bench.share();
      const ring = bench.startQueues();
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('protocol-features-all', 'SET_PROTOCOL_FEATURES', 'survives protocol features that it does not offer', {
    run: (bench) => {
      bench.frontEnd.askU64('GET_FEATURES');
      bench.frontEnd.askU64('GET_PROTOCOL_FEATURES');
      bench.frontEnd.send('SET_PROTOCOL_FEATURES', payloadOf(0xffff_ffff_ffff_ffffn));
      bench.frontEnd.send('SET_FEATURES', payloadOf((1n << 30n) | (1n << 32n)));
      bench.outlast();
    },
  }),
  ...(['GET_QUEUE_NUM', 'GET_MAX_MEM_SLOTS', 'GET_STATUS', 'RESET_DEVICE', 'VRING_KICK'] as const).map((request) =>
    hostile(
      `unasked-${inId(request)}`,
      'Protocol features',
      `survives ${request} without the protocol feature for it`,
      {
        run: async (bench) => {
          bench.start({ accept: [] });
          bench.frontEnd.send(request, request === 'VRING_KICK' ? payloadOf(bench.queue, 0) : undefined);
          await bench.settle();
        },
      },
    ),
  ),
  hostile('flood', 'Communication', 'survives a front-end that asks and asks, and reads no answer', {
    run: async (bench) => {
      bench.start();
      for (let n = 0; n < 400; n++) bench.frontEnd.send('GET_FEATURES', undefined, { flags: VERSION | NEEDS_REPLY });
      await bench.settle();
    },
  }),
  hostile('iotlb-not-negotiated', 'IOTLB_MSG', 'survives IOTLB messages without ACCESS_PLATFORM, of every type', {
    run: async (bench) => {
      bench.start();
      for (let type = 0; type < 6; type++) {
        const address = bench.memory.region().user;
        bench.frontEnd.send('IOTLB_MSG', payloadOf(0n, 4096n, address, BigInt(3 | (type << 8))));
      }
      await bench.settle();
    },
  }),
  hostile('config-beyond', 'GET_CONFIG', 'survives a read of the configuration behind its end', {
    needs: hasConfig,
    run: (bench) => {
      bench.greet();
      bench.frontEnd.ask('GET_CONFIG', payloadOf(0x1000, 8, 0, 0n));
    },
  }),
  hostile('config-size-lies', 'GET_CONFIG', 'survives a size of the configuration that the message does not have', {
    needs: hasConfig,
    run: (bench) => {
      bench.greet();
      const answer = bench.frontEnd.ask('GET_CONFIG', payloadOf(0, 0xffff_fff0, 0, 0n));
      bench.check(answer.byteLength <= 12 + 256, `it answered with ${answer.byteLength} bytes`);
    },
  }),
  hostile('set-config-beyond', 'SET_CONFIG', 'survives a write to the configuration behind its end', {
    needs: hasConfig,
    run: (bench) => {
      bench.greet();
      bench.defy('SET_CONFIG', payloadOf(0xffff_fff0, 8, 0, 0n));
    },
  }),
  hostile('set-config-size-lies', 'SET_CONFIG', 'survives a write that says it has more bytes than it has', {
    needs: hasConfig,
    run: (bench) => {
      bench.greet();
      bench.defy('SET_CONFIG', payloadOf(0, 0xffff, 0, 0n));
    },
  }),
  hostile('log-without-descriptor', 'SET_LOG_BASE', 'survives a dirty log without a file', {
    needs: [speaks('LOG_SHMFD')],
    run: (bench) => {
      acceptLog(bench);
      bench.frontEnd.send('SET_LOG_BASE', payloadOf(4096n, 0n));
      bench.outlast();
    },
  }),
  hostile('log-too-small', 'Migration', 'survives a dirty log that is too small for the memory', {
    needs: [speaks('LOG_SHMFD')],
    run: async (bench) => {
      acceptLog(bench);
      bench.frontEnd.ask('SET_LOG_BASE', payloadOf(1n, 0n), undefined, { descriptors: [bench.memory.descriptor] });
      bench.tell('SET_FEATURES', payloadOf((1n << 26n) | (1n << 30n) | (1n << 32n)));
      bench.share();
      const ring = bench.startQueues();
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('back-channel-without-descriptor', 'SET_BACKEND_REQ_FD', 'survives a back channel without a descriptor', {
    needs: [speaks('BACKEND_REQ')],
    run: (bench) => {
      bench.greet({ accept: ['REPLY_ACK', 'BACKEND_REQ'] });
      bench.frontEnd.send('SET_BACKEND_REQ_FD');
      bench.outlast();
    },
  }),
];

/** Opens the conversation with a dirty log. */
function acceptLog(bench: ProtocolBench): void {
  bench.frontEnd.askU64('GET_FEATURES');
  bench.frontEnd.send('SET_PROTOCOL_FEATURES', payloadOf(1n << BigInt(PROTOCOL_FEATURES.LOG_SHMFD)));
}

function words(name: string): string {
  return name.replaceAll('-', ' ');
}
