import { BOTH_LAYOUTS, type ConformCase, offersFeature } from '@virtio-platform/core';
import { VIRTIO_F_IN_ORDER, VIRTIO_RING_F_INDIRECT_DESC } from '@virtio-platform/core/features';
import { NET_FEATURES, VIRTIO_NET_F_MRG_RXBUF } from '../net-features.ts';
import { netCase, type NetTemplate } from './net-case.ts';
import { RECEIVE_BYTES, type NetPort, type ReceivedPacket } from './net-port.ts';

const NORMATIVE = '5.1.6.4.1';

type MergeTemplate = Pick<NetTemplate, 'id' | 'title' | 'run'> & Partial<NetTemplate>;

/** A case with receive buffers of its own, over which packets are spread. */
function mergeCase({ start, needs = [], ...template }: MergeTemplate): ConformCase {
  return netCase({
    clause: NORMATIVE,
    layouts: BOTH_LAYOUTS,
    features: [VIRTIO_NET_F_MRG_RXBUF],
    start: { size: 128, buffers: 0, ...start },
    needs,
    ...template,
  });
}

/** Gives buffers of these lengths, and has a frame come in them. */
async function spread(port: NetPort, lengths: readonly number[], data: number, number = 1): Promise<ReceivedPacket> {
  for (const length of lengths) port.supply([length]);
  const frame = port.frame({ number, data });
  await port.send(frame);
  return await port.expect(frame);
}

/** Packets that are spread over several receive buffers (MRG_RXBUF). */
export const NET_MERGE_CASES: readonly ConformCase[] = [
  mergeCase({
    id: 'net/merge-one',
    title: 'says one buffer for a packet that fits the first one',
    run: async (port) => {
      const { header, lengths } = await spread(port, [RECEIVE_BYTES, RECEIVE_BYTES], 1000);
      port.bench.equal('num_buffers', header.buffers, 1);
      port.bench.equal('the buffers that were used', lengths.length, 1);
    },
  }),
  mergeCase({
    id: 'net/merge-two',
    title: 'spreads a packet over two buffers, the first of which it fills',
    run: async (port) => {
      const { header, lengths, rooms } = await spread(port, [600, 1000], 1000);
      port.bench.equal('num_buffers', header.buffers, 2);
      port.bench.equal('the used length of the first', lengths[0]!, rooms[0]!);
      port.bench.equal('the used length of the second', lengths[1]!, port.header + 1014 - 600);
    },
  }),
  mergeCase({
    id: 'net/merge-many',
    title: 'spreads a packet over 24 buffers of 64 bytes',
    run: async (port) => {
      const lengths = Array.from({ length: 26 }, () => 64);
      const { header } = await spread(port, lengths, 1500);
      port.bench.equal('num_buffers', header.buffers, Math.ceil((port.header + 1514) / 64));
    },
  }),
  mergeCase({
    id: 'net/merge-after-header',
    title: 'puts the frame behind a buffer that the header fills',
    run: async (port) => {
      const { header, lengths } = await spread(port, [port.header, RECEIVE_BYTES], 500);
      port.bench.equal('num_buffers', header.buffers, 2);
      port.bench.equal('the used length of the first', lengths[0]!, port.header);
    },
  }),
  mergeCase({
    id: 'net/merge-odd-lengths',
    title: 'spreads packets over buffers of odd lengths',
    run: async (port) => {
      for (let number = 1; number <= 4; number++)
        await spread(port, [port.header + 3, 61, 127, port.header + 1, 255, RECEIVE_BYTES], 700, number).then(() =>
          port.supply([RECEIVE_BYTES]),
        );
    },
  }),
  mergeCase({
    id: 'net/merge-exactly-full',
    title: 'uses no further buffer where the packet just fills the last one',
    run: async (port) => {
      const { header } = await spread(port, [400, port.header + 1014 - 400, RECEIVE_BYTES], 1000);
      port.bench.equal('num_buffers', header.buffers, 2);
      port.bench.equal('the receive buffers that it has', port.receiver().outstanding, 1);
    },
  }),
  mergeCase({
    id: 'net/merge-one-byte-more',
    title: 'uses a further buffer for the last byte',
    run: async (port) => {
      const { header, lengths } = await spread(port, [400, port.header + 1013 - 400, RECEIVE_BYTES], 1000);
      port.bench.equal('num_buffers', header.buffers, 3);
      port.bench.equal('the used length of the last', lengths[2]!, 1);
    },
  }),
  mergeCase({
    id: 'net/merge-segmented',
    title: 'spreads a packet over buffers of several descriptors each',
    run: async (port) => {
      for (let i = 0; i < 6; i++) port.supply([port.header, 1, 100, 200]);
      const frame = port.frame({ data: 1200 });
      await port.send(frame);
      const { header, rooms } = await port.expect(frame);
      port.bench.equal('num_buffers', header.buffers, Math.ceil((port.header + 1214) / rooms[0]!));
    },
  }),
  mergeCase({
    id: 'net/merge-tables',
    title: 'spreads a packet over indirect tables',
    start: { with: [VIRTIO_RING_F_INDIRECT_DESC] },
    needs: [offersFeature(VIRTIO_RING_F_INDIRECT_DESC, NET_FEATURES)],
    run: async (port) => {
      for (let i = 0; i < 6; i++) port.supply([port.header, 300], 0, true);
      const frame = port.frame({ data: 1200 });
      await port.send(frame);
      await port.expect(frame);
    },
  }),
  mergeCase({
    id: 'net/merge-in-order',
    title: 'uses buffers in their order for spread packets too, with IN_ORDER',
    start: { with: [VIRTIO_F_IN_ORDER] },
    needs: [offersFeature(VIRTIO_F_IN_ORDER, NET_FEATURES)],
    run: async (port) => {
      for (let number = 1; number <= 5; number++) {
        const { header } = await spread(port, [200, 200, 200, 200, 200], 700, number);
        port.bench.check(header.buffers >= 4, `num_buffers is ${header.buffers}`);
      }
    },
  }),
  mergeCase({
    id: 'net/merge-laps',
    title: 'spreads 80 packets over a ring of 16 buffers',
    start: { size: 16 },
    run: async (port) => {
      for (let i = 0; i < 15; i++) port.supply([300]);
      for (let number = 1; number <= 80; number++) {
        const frame = port.frame({ number, data: 46 + ((number * 53) % 1400) });
        await port.send(frame);
        const { lengths } = await port.expect(frame);
        for (let i = 0; i < lengths.length; i++) port.supply([300]);
      }
    },
  }),
  mergeCase({
    id: 'net/merge-batch',
    title: 'keeps the packets of a batch apart',
    run: async (port) => {
      for (let i = 0; i < 60; i++) port.supply([256]);
      const frames = Array.from({ length: 10 }, (_, n) => port.frame({ number: n + 1, data: 46 + 150 * (n % 5) }));
      for (const frame of frames) port.give(frame);
      for (const frame of frames) await port.expect(frame);
    },
  }),
  mergeCase({
    id: 'net/merge-too-few-buffers',
    title: 'goes on after a packet for which there were too few buffers',
    run: async (port) => {
      for (let i = 0; i < 2; i++) port.supply([100]);
      port.give(port.frame({ data: 1000 }));
      await port.bench.settle();
      for (let i = 0; i < 30; i++) port.supply([100]);
      const last = port.frame({ number: 2, data: 333 });
      port.give(last);
      // The first may be lost, or come before.
      for (let i = 0; i < 3; i++) {
        const { frame } = await port.receive();
        if (frame.length !== 1014) return port.sameBytes(frame, last);
      }
      port.bench.fail('the second packet did not come');
    },
  }),
];
