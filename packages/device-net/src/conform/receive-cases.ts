import { BOTH_LAYOUTS, type ConformCase, offersFeature, returnsNothing } from '@virtio-platform/core';
import { resetQueue } from '@virtio-platform/core/device';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_RESET,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import * as feature from '../net-features.ts';
import { netCase, netCases } from './net-case.ts';
import { RECEIVE_BYTES, type NetPort } from './net-port.ts';

const BUFFERS = '5.1.6.3.2';
const NORMATIVE = '5.1.6.4.1';
/** Features that let a packet come that is longer than those of the wire, or unfinished. */
const GUEST_OFFLOADS = [
  feature.VIRTIO_NET_F_GUEST_CSUM,
  feature.VIRTIO_NET_F_GUEST_TSO4,
  feature.VIRTIO_NET_F_GUEST_TSO6,
  feature.VIRTIO_NET_F_GUEST_USO4,
  feature.VIRTIO_NET_F_GUEST_USO6,
];
/** Times that a packet is sent until it arrives. */
const MOST_TRIES = 20;
/** RSC_INFO, and the flags of tunnels and of IPsec. */
const FLAGS_OF_FEATURES = 0x7c;

/** Receive buffers that are cut in one way: each frame has to be in them as it was sent. */
function cutCase(id: string, title: string, cut: (header: number) => readonly number[], indirect = false): ConformCase {
  const tables = { with: [VIRTIO_RING_F_INDIRECT_DESC] };
  return netCase({
    id: `net/receive-${id}`,
    clause: '2.7.4.1',
    title,
    layouts: BOTH_LAYOUTS,
    start: { size: 128, buffers: 0, ...(indirect && tables) },
    needs: indirect ? [offersFeature(VIRTIO_RING_F_INDIRECT_DESC, feature.NET_FEATURES)] : [],
    run: async (port) => {
      for (let number = 1; number <= 3; number++) {
        port.supply(cut(port.header), 0, indirect);
        await port.exchange(port.frame({ number, data: 200 + number }));
      }
    },
  });
}

/** Lets what is on its way come, and forgets it. */
async function quiet(port: NetPort): Promise<void> {
  await port.bench.settle();
  port.bench.drain();
}

function single(count: number, rest: number): number[] {
  return [...Array.from({ length: count }, () => 1), rest];
}

/** Frames that a driver receives (specification 1.4 sections 5.1.6.3 and 5.1.6.4). */
export const NET_RECEIVE_CASES: readonly ConformCase[] = [
  cutCase('header-apart', 'writes a header into a descriptor of its own', (header) => [header, RECEIVE_BYTES]),
  cutCase('header-in-two', 'writes a header into two descriptors', (header) => [7, header - 7, RECEIVE_BYTES]),
  cutCase('header-in-single-bytes', 'writes a header into descriptors of one byte each', (header) =>
    single(header, RECEIVE_BYTES),
  ),
  cutCase('in-odd-lengths', 'writes a frame into descriptors of odd lengths', (header) => [
    header + 5,
    1,
    33,
    7,
    RECEIVE_BYTES,
  ]),
  cutCase('in-single-bytes', 'writes the first bytes of a frame into descriptors of one byte each', (header) =>
    single(header + 40, RECEIVE_BYTES),
  ),
  cutCase('last-byte-apart', 'writes the last byte of a frame into a descriptor of its own', (header) => [
    header + 214,
    1,
    RECEIVE_BYTES,
  ]),
  cutCase('in-a-table', 'writes into an indirect table', (header) => [header, 50, RECEIVE_BYTES], true),
  netCase({
    id: 'net/receive-used-length',
    clause: NORMATIVE,
    title: 'returns a receive buffer with the length of header and frame',
    layouts: BOTH_LAYOUTS,
    run: async (port) => {
      for (const data of [46, 47, 300, 1500]) {
        const frame = port.frame({ data });
        await port.send(frame);
        const { lengths } = await port.receive();
        port.bench.equal(
          'the used length',
          lengths.reduce((sum, length) => sum + length, 0),
          port.header + frame.length,
        );
      }
    },
  }),
  ...netCases({ clause: BUFFERS, layouts: BOTH_LAYOUTS }, [
    {
      id: 'net/receive-buffer-that-just-fits',
      title: 'uses a receive buffer that header and frame just fill',
      start: { buffers: 0 },
      run: async (port) => {
        for (const data of [46, 600, 1500]) {
          const frame = port.frame({ data });
          port.supply([port.header + frame.length]);
          const { header } = await port.exchange(frame);
          port.bench.equal('num_buffers', header.buffers, 1);
        }
      },
    },
    {
      id: 'net/receive-one-buffer-each',
      title: 'uses one buffer for each packet without MRG_RXBUF, and says so in num_buffers',
      start: { without: [feature.VIRTIO_NET_F_MRG_RXBUF] },
      run: async (port) => {
        for (let number = 1; number <= 6; number++) {
          const { header } = await port.exchange(port.frame({ number, data: number * 200 }));
          port.bench.equal('num_buffers', header.buffers, 1);
        }
      },
    },
    {
      id: 'net/receive-without-mergeable-buffers-too-long',
      title: 'spreads no packet without MRG_RXBUF, also where the buffer is too short for it',
      start: { without: [feature.VIRTIO_NET_F_MRG_RXBUF], buffers: 0 },
      run: async (port) => {
        for (let i = 0; i < 2; i++) port.supply([200]);
        for (let i = 0; i < 4; i++) port.supply([RECEIVE_BYTES]);
        port.give(port.frame({ data: 1000 }));
        await port.bench.settle();
        const small = port.frame({ data: 60 });
        const ring = port.receiver();
        // A burst of packets may be lost with the one in it that fits nowhere. What follows is sent until it arrives.
        for (let tries = 0, taken = 0; taken < 6; tries++) {
          port.give(small);
          await port.bench.settle();
          let returned = tries < MOST_TRIES ? ring.take() : await ring.takeNext();
          // What became of the long one is the device's choice; it may not be in two buffers.
          for (; returned !== undefined; returned = ring.take()) {
            const { id, length } = returned;
            taken++;
            port.bench.check(length <= RECEIVE_BYTES, `the used length of buffer ${id} is ${length}`);
            if (length === port.header + small.length) return;
            const isWhole = length === port.header + 1014;
            const seen = `a frame of 1014 bytes is in a buffer with a used length of ${length}`;
            port.bench.check(length === 0 || isWhole, seen);
          }
        }
      },
    },
  ]),
  netCase({
    id: 'net/receive-no-flags',
    clause: NORMATIVE,
    title: 'has flags of 0 and no gso_type without the features of the receiving side',
    layouts: BOTH_LAYOUTS,
    start: { without: GUEST_OFFLOADS },
    run: async (port) => {
      for (const kind of ['local', 'ipv4', 'ipv6'] as const) {
        const { header } = await port.exchange(port.frame({ kind, data: 100 }));
        port.bench.equal('flags', header.flags, 0);
        port.bench.equal('gso_type', header.gsoType, 0);
      }
    },
  }),
  netCase({
    id: 'net/receive-no-flags-of-other-features',
    clause: NORMATIVE,
    title: 'has no flag of a feature that was not accepted',
    run: async (port) => {
      for (const kind of ['local', 'ipv4', 'ipv6'] as const) {
        const { header } = await port.exchange(port.frame({ kind, data: 100 }));
        port.bench.equal('flags of RSC_EXT, tunnels and IPsec', header.flags & FLAGS_OF_FEATURES, 0);
      }
    },
  }),
  ...netCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'net/receive-laps',
      clause: '2.6',
      title: 'receives 200 frames over a ring of 4 buffers',
      start: { size: 4, buffers: 4 },
      run: async (port) => {
        for (let n = 0; n < 200; n++) {
          await port.exchange(port.frame({ number: n + 1, data: 46 + (n % 60) }));
          port.supply([RECEIVE_BYTES]);
        }
      },
    },
    {
      id: 'net/receive-one-buffer-at-a-time',
      clause: '2.6',
      title: 'receives where there is one receive buffer at a time',
      start: { buffers: 0 },
      run: async (port) => {
        for (let number = 1; number <= 40; number++) {
          port.supply([RECEIVE_BYTES]);
          await port.exchange(port.frame({ number }));
        }
      },
    },
    {
      id: 'net/receive-each-buffer-once',
      clause: '2.7.8',
      title: 'uses each receive buffer once, and none that it does not need',
      start: { size: 32, buffers: 20 },
      run: async (port) => {
        for (let number = 1; number <= 12; number++) await port.exchange(port.frame({ number }));
        await port.bench.settle();
        port.bench.check(port.receiver().take() === undefined, 'it used a receive buffer more than there were frames');
        port.bench.equal('the receive buffers that it has', port.receiver().outstanding, 8);
      },
    },
    {
      id: 'net/receive-in-order',
      clause: '6.2',
      title: 'uses receive buffers in their order, with IN_ORDER',
      needs: [offersFeature(VIRTIO_F_IN_ORDER, feature.NET_FEATURES)],
      start: { with: [VIRTIO_F_IN_ORDER], size: 16, buffers: 8 },
      run: async (port) => {
        for (let number = 1; number <= 60; number++) {
          await port.exchange(port.frame({ number, data: 46 + (number % 7) }));
          port.supply([RECEIVE_BYTES]);
        }
      },
    },
    {
      id: 'net/receive-notified',
      clause: '2.7.7.2',
      title: 'notifies of the receive buffers that the driver wants to be told of',
      run: async (port) => {
        const { bench } = port;
        port.transmitter().wantNotifications(false);
        for (let number = 1; number <= 6; number++) {
          port.receiver().wantNotifications(true);
          await quiet(port);
          await port.exchange(port.frame({ number }));
          bench.check(await bench.notified(), 'no notification of a receive buffer');
        }
      },
    },
    {
      id: 'net/receive-suppressed',
      clause: '2.7.7.2',
      level: 'SHOULD',
      title: 'sends no notification of receive buffers where the driver wants none',
      run: async (port) => {
        port.transmitter().wantNotifications(false);
        port.receiver().wantNotifications(false);
        await port.exchange(port.frame());
        await quiet(port);
        for (let number = 2; number <= 5; number++) await port.exchange(port.frame({ number }));
        port.bench.check(!(await port.bench.notified(20)), 'it notified although the driver suppressed that');
      },
    },
  ]),
  ...netCases(
    {
      clause: '2.7.7.2',
      needs: [offersFeature(VIRTIO_RING_F_EVENT_IDX, feature.NET_FEATURES)],
      start: { with: [VIRTIO_RING_F_EVENT_IDX] },
    },
    [
      {
        id: 'net/receive-event',
        title: 'notifies as a receive buffer reaches the event',
        layouts: BOTH_LAYOUTS,
        run: async (port) => {
          const { bench } = port;
          const ring = port.receiver();
          port.transmitter().wantNotifications(false);
          for (let number = 1; number <= 12; number++) {
            ring.wantNotificationAt(ring.nextUsed);
            await quiet(port);
            await port.exchange(port.frame({ number }));
            port.supply([RECEIVE_BYTES]);
            bench.check(await bench.notified(), `no notification at position ${ring.nextUsed}, which the event named`);
          }
        },
      },
      {
        id: 'net/receive-event-not-reached',
        level: 'SHOULD',
        title: 'sends no notification of receive buffers before the event',
        run: async (port) => {
          const ring = port.receiver();
          port.transmitter().wantNotifications(false);
          await port.exchange(port.frame());
          ring.wantNotificationAt((ring.nextUsed + 6) & 0xffff);
          await quiet(port);
          for (let number = 2; number <= 5; number++) await port.exchange(port.frame({ number }));
          port.bench.check(!(await port.bench.notified(20)), 'it notified before the used index got to the event');
        },
      },
    ],
  ),
  ...netCases({ clause: '2.7.6', layouts: BOTH_LAYOUTS }, [
    {
      id: 'net/receive-late-buffers',
      title: 'uses receive buffers that came after it had run out of them',
      start: { buffers: 2 },
      run: async (port) => {
        for (let round = 0; round < 6; round++) {
          const first = 10 * round + 1;
          for (let n = 0; n < 2; n++) await port.exchange(port.frame({ number: first + n }));
          port.supply([RECEIVE_BYTES]);
          port.supply([RECEIVE_BYTES]);
        }
      },
    },
    {
      id: 'net/receive-unpublished',
      title: 'uses no receive buffer that was described and not published',
      start: { buffers: 1 },
      run: async (port) => {
        const { bench } = port;
        const ring = port.receiver();
        const buffer = bench.allocate('a receive buffer that is not published', RECEIVE_BYTES, 64);
        ring.add([{ buffer, isWritable: true }]);
        await port.exchange(port.frame());
        port.give(port.frame({ number: 2 }));
        ring.kick();
        await returnsNothing(bench, ring, 'it used a receive buffer that was not available yet');
        const before = Buffer.from(buffer.read());
        await bench.settle();
        bench.check(
          before.every((byte) => (byte & 0xf0) === 0xa0),
          'it wrote to a buffer that was not available yet',
        );
      },
    },
  ]),
  netCase({
    id: 'net/receive-queue-reset',
    clause: '2.6.1.1',
    title: 'receives again after its receive queue was reset, and uses no buffer of before',
    layouts: BOTH_LAYOUTS,
    needs: [offersFeature(VIRTIO_F_RING_RESET, feature.NET_FEATURES)],
    start: { with: [VIRTIO_F_RING_RESET] },
    run: async (port) => {
      for (let round = 0; round < 3; round++) {
        await port.exchange(port.frame({ number: round + 1 }));
        const old = port.receiver();
        resetQueue(port.bench.transport, 0);
        port.bench.renewRing(0);
        for (let i = 0; i < 4; i++) port.supply([RECEIVE_BYTES]);
        await port.exchange(port.frame({ number: round + 10 }));
        port.bench.check(old.take() === undefined, 'it used a buffer of before the reset');
      }
    },
  }),
];
