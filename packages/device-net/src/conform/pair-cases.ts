import { BOTH_LAYOUTS, caseGroup, type ConformCase } from '@virtio-platform/core';
import { pairsCommand, scalingCommand } from '../control/net-command.ts';
import { VIRTIO_NET_F_MQ, VIRTIO_NET_F_RSS } from '../net-features.ts';
import { NO_OFFLOAD } from '../offload/net-header.ts';
import { PacketLayers } from '../offload/packet-layers.ts';
import { FrameHash, NET_HASH_KEY_BYTES, VIRTIO_NET_HASH_TYPE_UDPV4 } from '../receive-side-scaling/frame-hash.ts';
import { netCase, type NetTemplate } from './net-case.ts';
import type { FrameOptions } from './net-frame.ts';
import { RECEIVE_BYTES, type NetPort } from './net-port.ts';

const STEERING = '5.1.6.5.6.2';
const SCALING = '5.1.6.5.7.2';
/** Pairs that a case uses at most. */
const MOST_PAIRS = 4;
const KEY = Uint8Array.from({ length: NET_HASH_KEY_BYTES }, (_, i) => (i * 53 + 0x6d) & 0xff);

type PairTemplate = Pick<NetTemplate, 'id' | 'title' | 'run'> & Partial<NetTemplate>;

/** A case on a device with several pairs, each of which has receive buffers. */
function pairCase({ run, features = [VIRTIO_NET_F_MQ], ...template }: PairTemplate): ConformCase {
  return netCase({
    clause: STEERING,
    layouts: BOTH_LAYOUTS,
    start: { pairs: MOST_PAIRS, size: 32 },
    features,
    ...template,
    run: async (port) => {
      if (pairsOf(port) < 2) port.bench.skip('the device has one pair of queues');
      for (let pair = 1; pair < pairsOf(port); pair++) for (let i = 0; i < 8; i++) port.supply([RECEIVE_BYTES], pair);
      await run(port);
    },
  });
}
const pairCases = caseGroup(pairCase);

function pairsOf(port: NetPort): number {
  return Math.min(MOST_PAIRS, port.config.queuePairs);
}

/** A frame of a flow of its own, sent on a pair. */
async function sendOn(port: NetPort, pair: number, options: FrameOptions): Promise<Uint8Array> {
  const frame = port.frame({ kind: 'ipv4', flow: 10 + pair, ...options });
  await port.send(frame, NO_OFFLOAD, {}, pair);
  return frame;
}

/** The pairs on which something was received. */
function used(port: NetPort): number[] {
  return Array.from({ length: pairsOf(port) }, (_, pair) => pair).filter(
    (pair) => port.receiver(pair).take() !== undefined,
  );
}

/** Has the device answer ERR to a number of pairs, and go on with what it had. */
function refusedPairs(id: string, title: string, pairs: (most: number) => number): ConformCase {
  return pairCase({
    id: `net/pairs-${id}`,
    level: 'SHOULD',
    title,
    layouts: ['split'],
    run: async (port) => {
      await port.refused(pairsCommand(pairs(port.config.queuePairs), true));
      await port.exchange(port.frame());
    },
  });
}

/** Which pair a UDP frame goes to by a table. */
function pairByTable(frame: Uint8Array, table: readonly number[]): number {
  const layers = new PacketLayers();
  layers.read(frame, frame.length);
  const hash = new FrameHash();
  hash.of(frame, layers, VIRTIO_NET_HASH_TYPE_UDPV4, KEY);
  return table[hash.value & (table.length - 1)]!;
}

/** Several pairs of queues (specification 1.4 sections 5.1.6.5.6 and 5.1.6.5.7). */
export const NET_PAIR_CASES: readonly ConformCase[] = [
  pairCase({
    id: 'net/pairs-first-only-at-first',
    title: 'receives on the first pair alone before the driver asks for more',
    run: async (port) => {
      for (let number = 1; number <= 6; number++) {
        const frame = await sendOn(port, 0, { number, flow: number });
        await port.expect(frame);
      }
      port.bench.equal('the pairs that received anything else', used(port).join(), '');
    },
  }),
  pairCase({
    id: 'net/pairs-each-sends',
    title: 'sends on every pair that the driver asked for',
    run: async (port) => {
      await port.order(pairsCommand(pairsOf(port), true));
      for (let pair = 0; pair < pairsOf(port); pair++)
        for (let number = 1; number <= 3; number++) await sendOn(port, pair, { number });
    },
  }),
  pairCase({
    id: 'net/pairs-flows-come-back',
    level: 'SHOULD',
    title: 'receives the frames of a flow on the pair on which the flow was sent',
    run: async (port) => {
      await port.order(pairsCommand(pairsOf(port), true));
      for (let number = 1; number <= 4; number++) {
        for (let pair = 0; pair < pairsOf(port); pair++) await port.expect(await sendOn(port, pair, { number }), pair);
      }
    },
  }),
  pairCase({
    id: 'net/pairs-at-once',
    title: 'sends and receives on all pairs at once, each frame once',
    run: async (port) => {
      await port.order(pairsCommand(pairsOf(port), true));
      const pairs = Array.from({ length: pairsOf(port) }, (_, pair) => pair);
      for (let round = 0; round < 3; round++) {
        for (const pair of pairs)
          port.give(port.frame({ kind: 'ipv4', flow: 10 + pair, number: round + 1 }), NO_OFFLOAD, pair);
        for (const pair of pairs) await port.transmitter(pair).takeNext();
        let received = 0;
        await port.bench.until('deliver each frame on some pair', () => {
          received += used(port).length;
          return received >= pairs.length;
        });
        port.bench.equal('the frames that came', received, pairs.length);
      }
    },
  }),
  pairCase({
    id: 'net/pairs-fewer-again',
    title: 'receives on no pair above those that the driver asked for last',
    run: async (port) => {
      await port.order(pairsCommand(pairsOf(port), true));
      for (let pair = 0; pair < pairsOf(port); pair++) await port.expect(await sendOn(port, pair, {}), pair);
      await port.order(pairsCommand(1, true));
      for (let number = 1; number <= 5; number++) {
        const frame = await sendOn(port, 0, { number, flow: 9 + number });
        await port.expect(frame);
      }
      port.bench.equal('the pairs that received anything else', used(port).join(), '');
    },
  }),
  pairCase({
    id: 'net/pairs-reset-ends-it',
    title: 'receives on the first pair alone again after a reset',
    run: async (port) => {
      await port.order(pairsCommand(pairsOf(port), true));
      await port.expect(await sendOn(port, 1, {}), 1);
      const again = await port.again({ pairs: MOST_PAIRS });
      for (let pair = 1; pair < pairsOf(again); pair++) again.supply([RECEIVE_BYTES], pair);
      for (let number = 1; number <= 4; number++)
        await again.expect(await sendOn(again, 0, { number, flow: 10 + number }));
      again.bench.equal('the pairs that received anything else', used(again).join(), '');
    },
  }),
  pairCase({
    id: 'net/pairs-each-number',
    title: 'takes every number of pairs up to those that it has',
    layouts: ['split'],
    run: async (port) => {
      for (let pairs = 1; pairs <= port.config.queuePairs; pairs++) await port.order(pairsCommand(pairs, true));
      await port.order(pairsCommand(1, true));
      await port.exchange(port.frame());
    },
  }),
  refusedPairs('none', 'answers ERR to 0 pairs', () => 0),
  refusedPairs('one-too-many', 'answers ERR to one pair more than it has', (most) => most + 1),
  refusedPairs('far-too-many', 'answers ERR to 0x8001 pairs', () => 0x8001),
  ...pairCases({ clause: SCALING, features: [VIRTIO_NET_F_RSS] }, [
    {
      id: 'net/scaling-by-table',
      title: 'receives each frame on the pair that its hash and the table say',
      run: async (port) => {
        const table = Array.from({ length: 8 }, (_, i) => i % pairsOf(port));
        const hashTypes = VIRTIO_NET_HASH_TYPE_UDPV4;
        await port.order(scalingCommand({ hashTypes, table, unclassified: 0, transmitQueues: 1, key: KEY }, true));
        for (let flow = 1; flow <= 16; flow++) {
          const frame = await sendOn(port, 0, { flow, number: flow });
          const pair = pairByTable(frame, table);
          await port.expect(frame, pair);
          port.supply([RECEIVE_BYTES], pair);
        }
      },
    },
    {
      id: 'net/scaling-unclassified',
      title: 'receives frames without a hash on the unclassified pair',
      run: async (port) => {
        const last = pairsOf(port) - 1;
        const hashTypes = VIRTIO_NET_HASH_TYPE_UDPV4;
        await port.order(
          scalingCommand({ hashTypes, table: [0], unclassified: last, transmitQueues: 1, key: KEY }, true),
        );
        for (let number = 1; number <= 3; number++)
          await port.expect(await sendOn(port, 0, { kind: 'local', number }), last);
        await port.expect(await sendOn(port, 0, { number: 9 }), 0);
      },
    },
    {
      id: 'net/scaling-longest-table',
      title: 'takes a table of as many entries as it says',
      layouts: ['split'],
      run: async (port) => {
        const table = Array.from({ length: port.config.longestTable }, (_, i) => (i + 1) % pairsOf(port));
        const hashTypes = VIRTIO_NET_HASH_TYPE_UDPV4;
        await port.order(scalingCommand({ hashTypes, table, unclassified: 0, transmitQueues: 1, key: KEY }, true));
        for (let flow = 1; flow <= 8; flow++) {
          const frame = await sendOn(port, 0, { flow });
          await port.expect(frame, pairByTable(frame, table));
        }
      },
    },
  ]),
  pairCase({
    id: 'net/scaling-ends',
    clause: STEERING,
    title: 'goes by the command that came last, of scaling and of pairs',
    features: [VIRTIO_NET_F_RSS, VIRTIO_NET_F_MQ],
    run: async (port) => {
      const hashTypes = VIRTIO_NET_HASH_TYPE_UDPV4;
      await port.order(scalingCommand({ hashTypes, table: [1], unclassified: 1, transmitQueues: 1, key: KEY }, true));
      await port.expect(await sendOn(port, 0, {}), 1);
      await port.order(pairsCommand(1, true));
      await port.expect(await sendOn(port, 0, { number: 2 }), 0);
      port.bench.equal('the pairs that received anything else', used(port).join(), '');
    },
  }),
];
