import { BOTH_LAYOUTS } from '@virtio-platform/core';
import { openSync, closeSync } from 'node:fs';
import { USER_BASE } from '../../protocol/front-end-memory.ts';
import { payloadOf } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import type { ProtocolCase } from '../../protocol/protocol-case.ts';
import { NO_DESCRIPTOR, type RequestName } from '../../protocol/requests.ts';

type Hostile = Pick<ProtocolCase, 'layouts' | 'run'>;

function hostile(id: string, clause: string, title: string, rest: Hostile): ProtocolCase {
  return { id: `vhost-user/${id}`, clause: `vhost-user: ${clause}`, level: 'MUST', title, isHostile: true, ...rest };
}

function inId(request: string): string {
  return request.toLowerCase().replaceAll('_', '-');
}

/** Indexes of queues that the device does not have: the first one, what a byte holds, and the largest. */
const INDEXES: Readonly<Record<string, (bench: ProtocolBench) => number>> = {
  'one-too-many': ({ offer, queues }) => Math.max(offer.queues, ...queues.map((queue) => queue + 1)),
  '0x8000': () => 0x8000,
  largest: () => 0xffff_ffff,
};

/** Messages with the index of a queue, and what comes behind it. */
const INDEXED: readonly {
  readonly request: RequestName;
  readonly payload: (index: number, bench: ProtocolBench) => Uint8Array;
}[] = [
  { request: 'SET_VRING_NUM', payload: (index) => payloadOf(index, 16) },
  { request: 'SET_VRING_BASE', payload: (index) => payloadOf(index, 0) },
  {
    request: 'SET_VRING_ADDR',
    payload: (index, bench) => {
      const payload = bench.addressPayload(bench.ring());
      new DataView(payload.buffer).setUint32(0, index, true);
      return payload;
    },
  },
  { request: 'GET_VRING_BASE', payload: (index) => payloadOf(index, 0) },
  { request: 'SET_VRING_ENABLE', payload: (index) => payloadOf(index, 1) },
];

/** Sizes of a ring that no driver sets. */
const SIZES = [0, 3, 0x8001, 0xffff_ffff];

/** Bytes that are shared where a ring is misplaced, so that others follow, and the user address of their end. */
const SHARED_BYTES = 0x20_0000;
const END_OF_MEMORY = USER_BASE + BigInt(SHARED_BYTES);

/** Addresses of a ring, as its three areas: descriptors, device, driver. */
const ADDRESSES: Readonly<Record<string, (right: readonly [bigint, bigint, bigint]) => readonly bigint[]>> = {
  zero: () => [0n, 0n, 0n],
  nowhere: ([descriptor, device, driver]) => [descriptor, device, driver].map((address) => address + (1n << 44n)),
  largest: () => [-16n, -16n, -16n],
  'at-the-end': ([descriptor, , driver]) => [descriptor, END_OF_MEMORY - 2n, driver],
  misaligned: (right) => right.map((address) => address + 1n),
  'all-the-same': ([descriptor]) => [descriptor, descriptor, descriptor],
};

/** Messages with a descriptor that is of the wrong kind, or missing. */
const DESCRIPTORS = ['SET_VRING_KICK', 'SET_VRING_CALL', 'SET_VRING_ERR'] as const;
const WRONG: Readonly<Record<string, string>> = {
  'a-file': '/proc/self/exe',
  'a-folder': '/',
  'a-device': '/dev/null',
};

/** Rings that are set up wrongly. */
export const HOSTILE_RING_CASES: readonly ProtocolCase[] = [
  ...INDEXED.flatMap(({ request, payload }) =>
    Object.entries(INDEXES).map(([name, index]) =>
      hostile(`index-${inId(request)}-${name}`, request, `survives ${request} of a queue that it does not have`, {
        run: (bench) => {
          bench.start();
          bench.frontEnd.send(request, payload(index(bench), bench));
          bench.outlast();
        },
      }),
    ),
  ),
  ...DESCRIPTORS.map((request) =>
    hostile(`index-${inId(request)}-255`, request, `survives ${request} of a queue that it does not have`, {
      run: (bench) => {
        bench.start();
        if (bench.offer.queues > 255) bench.skip('the device has 256 queues');
        bench.frontEnd.send(request, payloadOf(255n), { descriptors: [bench.doorbell().descriptor] });
        bench.outlast();
      },
    }),
  ),
  ...SIZES.map((size) =>
    hostile(`ring-of-${size}`, 'SET_VRING_NUM', `survives a ring of ${size} entries, which no driver has`, {
      layouts: size === 3 ? ['split'] : ['split', 'packed'],
      run: async (bench) => {
        bench.greet();
        bench.share();
        const messages = bench.prepare();
        bench.defy('SET_VRING_NUM', payloadOf(bench.queue, size));
        for (const { request, payload, descriptors } of messages) {
          if (request !== 'SET_VRING_NUM') bench.defy(request, payload, descriptors);
        }
        bench.defy('SET_VRING_ENABLE', payloadOf(bench.queue, 1));
        bench.ring().give(bench.layOut().segments);
        await bench.settle();
      },
    }),
  ),
  hostile('ring-resized-while-running', 'SET_VRING_NUM', 'survives another size while the ring runs', {
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const ring = bench.start();
      await bench.serve(3);
      for (const size of [0, 1, 0x8000]) {
        bench.frontEnd.send('SET_VRING_NUM', payloadOf(bench.queue, size));
        ring.give(bench.layOut().segments);
        await bench.settle(2);
      }
    },
  }),
  ...Object.entries(ADDRESSES).map(([name, change]) =>
    hostile(`address-${name}`, 'SET_VRING_ADDR', `survives addresses of a ring: ${name.replaceAll('-', ' ')}`, {
      layouts: BOTH_LAYOUTS,
      run: async (bench) => {
        bench.greet();
        bench.share([bench.memory.region(0, SHARED_BYTES)]);
        for (const { request, payload, descriptors } of bench.prepare()) {
          if (request !== 'SET_VRING_ADDR') {
            bench.defy(request, payload, descriptors);
            continue;
          }
          const view = new DataView(payload.buffer);
          const right = [view.getBigUint64(8, true), view.getBigUint64(16, true), view.getBigUint64(24, true)] as const;
          // A ring at a wrong place of the memory is written there.
          bench.memory.watched.mayWriteAnywhere();
          bench.defy('SET_VRING_ADDR', payloadOf(bench.queue, 0, ...change(right), 0n));
        }
        bench.defy('SET_VRING_ENABLE', payloadOf(bench.queue, 1));
        bench.ring().give(bench.layOut().segments);
        await bench.settle();
      },
    }),
  ),
  hostile('address-while-running', 'SET_VRING_ADDR', 'survives addresses of nothing while the ring runs', {
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const ring = bench.start();
      await bench.serve();
      bench.frontEnd.send('SET_VRING_ADDR', payloadOf(bench.queue, 0, 0n, 0n, 0n, 0n));
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('base-out-of-range', 'SET_VRING_BASE', 'survives a base that is no index', {
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      bench.greet();
      bench.share();
      for (const { request, payload, descriptors } of bench.prepare()) {
        const isBase = request === 'SET_VRING_BASE';
        bench.defy(request, isBase ? payloadOf(bench.queue, 0x7fff_7fff) : payload, descriptors);
      }
      bench.defy('SET_VRING_ENABLE', payloadOf(bench.queue, 1));
      bench.ring().give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('base-while-running', 'SET_VRING_BASE', 'survives another base while the ring runs', {
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const ring = bench.start();
      await bench.serve(5);
      bench.frontEnd.send('SET_VRING_BASE', payloadOf(bench.queue, 0xffff));
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  }),
  hostile('stopped-twice', 'GET_VRING_BASE', 'survives a stop of a ring that is stopped', {
    run: (bench) => {
      bench.start();
      bench.stop();
      bench.stop();
    },
  }),
  hostile(
    'enabled-with-2',
    'SET_VRING_ENABLE',
    'survives a ring that is enabled by a number which is neither 0 nor 1',
    {
      run: async (bench) => {
        const ring = bench.start({ isHeld: true });
        bench.frontEnd.send('SET_VRING_ENABLE', payloadOf(bench.queue, 0xffff_ffff));
        ring.give(bench.layOut().segments);
        await bench.settle();
      },
    },
  ),
  ...DESCRIPTORS.flatMap((request) => [
    hostile(`${inId(request)}-without-descriptor`, request, `survives ${request} that lacks its descriptor`, {
      run: (bench) => {
        bench.start();
        bench.frontEnd.send(request, payloadOf(BigInt(bench.queue)));
        bench.outlast();
      },
    }),
    hostile(`${inId(request)}-with-8-descriptors`, request, `survives ${request} with eight descriptors`, {
      run: (bench) => {
        bench.start();
        const descriptors = Array.from({ length: 8 }, () => bench.doorbell().descriptor);
        bench.frontEnd.send(request, payloadOf(BigInt(bench.queue)), { descriptors });
        bench.outlast();
      },
    }),
    hostile(`${inId(request)}-says-none`, request, `survives ${request} that says it has no descriptor, and has one`, {
      run: (bench) => {
        bench.start();
        const payload = payloadOf(BigInt(bench.queue | NO_DESCRIPTOR));
        bench.frontEnd.send(request, payload, { descriptors: [bench.doorbell().descriptor] });
        bench.outlast();
      },
    }),
    ...Object.entries(WRONG).map(([kind, path]) =>
      hostile(`${inId(request)}-is-${kind}`, request, `survives ${request} with ${kind.replaceAll('-', ' ')}`, {
        run: async (bench) => {
          const descriptor = openSync(path, 'r');
          try {
            const ring = bench.start();
            bench.frontEnd.send(request, payloadOf(BigInt(bench.queue)), { descriptors: [descriptor] });
            ring.give(bench.layOut().segments);
            await bench.settle();
          } finally {
            closeSync(descriptor);
          }
        },
      }),
    ),
  ]),
];
