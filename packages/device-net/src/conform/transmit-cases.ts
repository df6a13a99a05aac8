import { BOTH_LAYOUTS, type ConformCase, type Framing } from '@virtio-platform/core';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_F_RING_RESET,
} from '@virtio-platform/core/features';
import { resetQueue } from '@virtio-platform/core/device';
import { offersFeature } from '@virtio-platform/core';
import { NET_FEATURES, VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_MRG_RXBUF } from '../net-features.ts';
import { NO_OFFLOAD } from '../offload/net-header.ts';
import { netCase, netCases, type NetTemplate } from './net-case.ts';
import type { NetPort } from './net-port.ts';

const HEADER = '5.1.6';
const TRANSMISSION = '5.1.6.2';
const NORMATIVE = '5.1.6.2.2';
const FRAMING = '2.7.4.1';
/** Data of the longest frame of the wire. */
const LONGEST_DATA = 1500;
/** A flag that no feature has. */
const UNKNOWN_FLAG = 0x80;

/** Frames that are cut in one way, each of which has to come back as it was sent. */
function cutCase(
  id: string,
  title: string,
  framing: (header: number, length: number) => Framing,
  rest: Partial<NetTemplate> = {},
): ConformCase {
  return netCase({
    id: `net/transmit-${id}`,
    clause: FRAMING,
    title,
    layouts: BOTH_LAYOUTS,
    start: { size: 128 },
    ...rest,
    run: async (port) => {
      for (let number = 1; number <= 3; number++) {
        const frame = port.frame({ number, data: 46 + number });
        await port.exchange(frame, framing(port.header, frame.length));
      }
    },
  });
}

function single(count: number): number[] {
  return Array.from({ length: count }, () => 1);
}

/** Sends several frames at once and looks whether each comes back once. */
async function batch(port: NetPort, count: number, data: (n: number) => number = () => 46): Promise<void> {
  const frames = Array.from({ length: count }, (_, n) => port.frame({ number: n + 1, data: data(n) }));
  const ring = port.transmitter();
  const ids = new Set(frames.map((frame) => ring.add(port.layOut(frame).segments)));
  ring.publish();
  ring.kick();
  for (let n = 0; n < count; n++) {
    const { id } = await ring.takeNext();
    port.bench.check(ids.delete(id), `it returned transmit buffer ${id}, which it did not have`);
  }
  const missing = new Map(frames.map((frame) => [Buffer.from(frame).toString('hex'), frame]));
  for (let n = 0; n < count; n++) {
    const key = Buffer.from((await port.receive()).frame).toString('hex');
    port.bench.check(missing.delete(key), 'a frame came back that was not sent, or came back twice');
    port.supply([1536]);
  }
}

/** Frames that a driver sends (specification 1.4 section 5.1.6.2). */
export const NET_TRANSMIT_CASES: readonly ConformCase[] = [
  ...netCases({ clause: HEADER, layouts: BOTH_LAYOUTS }, [
    {
      id: 'net/header-of-20',
      title: 'has a header of 20 bytes with HASH_REPORT, in both directions',
      features: [VIRTIO_NET_F_HASH_REPORT],
      run: async (port) => {
        port.bench.equal('the header that the case uses', port.header, 20);
        await port.exchange(port.frame());
      },
    },
    {
      id: 'net/header-of-12',
      title: 'has a header of 12 bytes without HASH_REPORT, in both directions',
      start: { without: [VIRTIO_NET_F_HASH_REPORT] },
      run: async (port) => {
        port.bench.equal('the header that the case uses', port.header, 12);
        await port.exchange(port.frame());
      },
    },
    {
      id: 'net/header-without-mergeable-buffers',
      title: 'has a header of 12 bytes also without MRG_RXBUF, since the interface is not legacy',
      start: { without: [VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_MRG_RXBUF] },
      run: async (port) => {
        await port.exchange(port.frame());
      },
    },
  ]),
  ...netCases({ clause: TRANSMISSION, layouts: BOTH_LAYOUTS }, [
    {
      id: 'net/transmit-shortest',
      title: 'sends frames of 60 bytes, as they are',
      run: async (port) => {
        const frame = port.frame({ data: 46 });
        port.bench.equal('the length of the frame', frame.length, 60);
        for (let n = 0; n < 4; n++) await port.exchange(frame);
      },
    },
    {
      id: 'net/transmit-longest',
      title: 'sends frames of 1514 bytes, as they are',
      run: async (port) => {
        for (let number = 1; number <= 4; number++) await port.exchange(port.frame({ number, data: LONGEST_DATA }));
      },
    },
    {
      id: 'net/transmit-each-length',
      title: 'sends frames of 60 to 123 bytes, each length once',
      run: async (port) => {
        for (let n = 0; n < 64; n++) {
          await port.exchange(port.frame({ number: n + 1, data: 46 + n }));
          port.supply([1536]);
        }
      },
    },
  ]),
  cutCase('header-apart', 'takes a header in a descriptor of its own', (header) => ({ readable: [header] })),
  cutCase('header-in-two', 'takes a header in two descriptors', (header) => ({ readable: [5, header - 5] })),
  cutCase('header-in-single-bytes', 'takes a header in descriptors of one byte each', (header) => ({
    readable: single(header),
  })),
  cutCase(
    'header-with-ethernet',
    'takes header and Ethernet header in one descriptor, and the rest apart',
    (header) => ({
      readable: [header + 14],
    }),
  ),
  cutCase('in-odd-lengths', 'takes a frame in descriptors of odd lengths', (header) => ({
    readable: [header + 7, 1, 3, 17],
  })),
  cutCase('last-byte-apart', 'takes a frame whose last byte is apart', (header, length) => ({
    readable: [header + length - 1],
  })),
  cutCase('in-single-bytes', 'takes header and frame in descriptors of one byte each', (header, length) => ({
    readable: single(header + length - 1),
  })),
  cutCase(
    'in-a-table',
    'takes a frame in an indirect table',
    (header) => ({ readable: [header, 14, 20], indirect: true }),
    {
      start: { size: 16, with: [VIRTIO_RING_F_INDIRECT_DESC] },
      needs: [offersFeature(VIRTIO_RING_F_INDIRECT_DESC, NET_FEATURES)],
    },
  ),
  ...netCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'net/transmit-used-length',
      clause: '2.7.8.2',
      title: 'returns transmit buffers with a used length of 0',
      isLooped: false,
      run: async (port) => {
        for (let n = 0; n < 3; n++) {
          const { length, flags } = await port.bench.serve(port.layOut(port.frame({ data: 100 * (n + 1) })));
          const isMeant = port.bench.layout === 'split' || (flags & 2) !== 0;
          if (isMeant) port.bench.equal('the used length', length, 0);
        }
      },
    },
    {
      id: 'net/transmit-leaves-frame',
      clause: '2.7.5.1',
      title: 'changes neither header nor frame that it sends',
      run: async (port) => {
        const laid = port.layOut(port.frame({ data: 200 }), NO_OFFLOAD, { readable: [port.header] });
        const before = laid.segments.map(({ buffer }) => Buffer.from(buffer.read()));
        await port.bench.serve(laid);
        await port.receive();
        for (const [i, { buffer }] of laid.segments.entries())
          port.bench.check(before[i]!.equals(buffer.read()), `${buffer.name} changed`);
      },
    },
    {
      id: 'net/transmit-batch',
      clause: '2.7.13',
      title: 'sends all frames of a batch, each once',
      start: { size: 32, buffers: 24 },
      run: async (port) => {
        for (let round = 0; round < 4; round++) await batch(port, 24);
      },
    },
    {
      id: 'net/transmit-batch-of-lengths',
      clause: '2.7.13',
      title: 'keeps the lengths of the frames of a batch apart',
      start: { size: 32, buffers: 16 },
      run: (port) => batch(port, 16, (n) => [46, 1500, 47, 700][n % 4]!),
    },
    {
      id: 'net/transmit-laps',
      clause: '2.6',
      title: 'sends 200 frames over a ring of 8',
      start: { size: 8 },
      run: async (port) => {
        for (let n = 0; n < 200; n++) {
          await port.exchange(port.frame({ number: n + 1, data: 46 + (n % 50) }));
          port.supply([1536]);
        }
      },
    },
    {
      id: 'net/transmit-in-order',
      clause: '6.2',
      title: 'returns transmit buffers in their order, with IN_ORDER',
      isLooped: false,
      needs: [offersFeature(VIRTIO_F_IN_ORDER, NET_FEATURES)],
      start: { with: [VIRTIO_F_IN_ORDER], size: 32 },
      run: async (port) => {
        const ring = port.transmitter();
        const ids = Array.from({ length: 8 }, (_, n) =>
          ring.add(port.layOut(port.frame({ data: 46 + 100 * (n % 3) })).segments),
        );
        ring.publish();
        ring.kick();
        for (const id of ids) port.bench.equal('the used id', (await ring.takeNext()).id, id);
      },
    },
    {
      id: 'net/transmit-notified',
      clause: '2.7.7.2',
      title: 'notifies of the transmit buffers that the driver wants to be told of',
      isLooped: false,
      run: async (port) => {
        const { bench } = port;
        port.receiver().wantNotifications(false);
        for (let n = 0; n < 4; n++) {
          port.transmitter().wantNotifications(n % 2 === 0);
          await bench.settle();
          bench.drain();
          await port.send(port.frame());
          if (n % 2 === 0) bench.check(await bench.notified(), 'no notification of a transmit buffer');
        }
      },
    },
    {
      id: 'net/transmit-event',
      clause: '2.7.7.2',
      title: 'notifies as a transmit buffer reaches the event',
      isLooped: false,
      needs: [offersFeature(VIRTIO_RING_F_EVENT_IDX, NET_FEATURES)],
      start: { with: [VIRTIO_RING_F_EVENT_IDX] },
      run: async (port) => {
        const { bench } = port;
        const ring = port.transmitter();
        port.receiver().wantNotifications(false);
        for (let n = 0; n < 10; n++) {
          ring.wantNotificationAt(ring.nextUsed);
          await bench.settle();
          bench.drain();
          await port.send(port.frame());
          bench.check(await bench.notified(), `no notification at position ${ring.nextUsed}, which the event named`);
        }
      },
    },
    {
      id: 'net/transmit-without-receive-buffers',
      clause: TRANSMISSION,
      title: 'goes on after frames came for which there was no receive buffer',
      start: { buffers: 0 },
      run: async (port) => {
        for (let number = 1; number <= 4; number++) port.give(port.frame({ number }));
        await port.bench.settle();
        for (let i = 0; i < 8; i++) port.supply([1536]);
        // Whether those are lost is the network's choice.
        const last = port.frame({ number: 99, data: 300 });
        port.give(last);
        for (let i = 0; i < 5; i++) if ((await port.receive()).frame.length === last.length) return;
        port.bench.fail('a frame that was sent once there were receive buffers did not come back');
      },
    },
    {
      id: 'net/transmit-queue-reset',
      clause: '2.6.1.1',
      title: 'sends again after its transmit queue was reset, and receives meanwhile',
      needs: [offersFeature(VIRTIO_F_RING_RESET, NET_FEATURES)],
      start: { with: [VIRTIO_F_RING_RESET] },
      run: async (port) => {
        for (let round = 0; round < 3; round++) {
          await port.exchange(port.frame({ number: round + 1 }));
          port.supply([1536]);
          resetQueue(port.bench.transport, 1);
          port.bench.renewRing(1);
        }
        await port.exchange(port.frame({ number: 9 }));
      },
    },
  ]),
  ...netCases({ clause: NORMATIVE }, [
    {
      id: 'net/unknown-flag',
      title: 'ignores a flag that there is not',
      run: async (port) => {
        const frame = port.frame();
        await port.send(frame, { ...NO_OFFLOAD, flags: UNKNOWN_FLAG });
        await port.expect(frame);
      },
    },
    {
      id: 'net/checksum-fields-unused',
      title: 'makes no use of csum_start and csum_offset without NEEDS_CSUM',
      run: async (port) => {
        const frame = port.frame({ data: 200 });
        for (const checksumStart of [20, 0, 0xffff]) {
          await port.send(frame, { ...NO_OFFLOAD, checksumStart, checksumOffset: 6 });
          await port.expect(frame);
        }
      },
    },
    {
      id: 'net/segment-size-unused',
      title: 'makes no use of gso_size without a gso_type',
      run: async (port) => {
        const frame = port.frame({ data: 600 });
        await port.send(frame, { ...NO_OFFLOAD, gsoSize: 100 });
        await port.expect(frame);
      },
    },
    {
      id: 'net/header-length-of-plain-frame',
      title: 'does not rely on hdr_len of a frame that is not to be cut',
      run: async (port) => {
        const frame = port.frame({ data: 200 });
        for (const headerLength of [1, 13, 60, 214]) {
          await port.send(frame, { ...NO_OFFLOAD, headerLength });
          await port.expect(frame);
        }
      },
    },
  ]),
];
