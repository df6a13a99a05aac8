import type { ConformCase } from '@virtio-platform/core';
import { pairsCommand } from '../control/net-command.ts';
import { VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF } from '../net-features.ts';
import { hostileCase, hostileCases } from './hostile-case.ts';
import { NetPort, RECEIVE_BYTES } from './net-port.ts';

const BUFFERS = '5.1.6.3.2';
const QUEUES = '5.1.6.5.6.2';

/** Gives wrong receive buffers, and has frames come. */
function bufferCase(
  id: string,
  title: string,
  supply: (port: NetPort) => void,
  without: readonly number[] = [],
): ConformCase {
  return hostileCase({
    id: `net/hostile-receive-${id}`,
    clause: BUFFERS,
    title: `survives ${title}`,
    start: { buffers: 0, without },
    run: async (port) => {
      supply(port);
      for (let number = 1; number <= 4; number++) port.give(port.frame({ number, data: 200 }));
      await port.bench.settle();
    },
  });
}

/** Buffers of one length. */
function shortCase(bytes: number | 'header', isMerged: boolean): ConformCase {
  const length = bytes === 'header' ? 'its header only' : `${bytes} bytes`;
  return bufferCase(
    `of-${bytes}${isMerged ? '' : '-alone'}`,
    `receive buffers of ${length} ${isMerged ? 'with' : 'without'} MRG_RXBUF`,
    (port) => {
      for (let i = 0; i < 4; i++) port.supply([bytes === 'header' ? port.header : bytes]);
    },
    isMerged ? [] : [VIRTIO_NET_F_MRG_RXBUF],
  );
}

/** Receive buffers that no driver may give, and queues that it may not use yet. */
export const HOSTILE_RECEIVE_CASES: readonly ConformCase[] = [
  shortCase(1, true),
  shortCase(11, true),
  shortCase('header', true),
  shortCase(1, false),
  shortCase(11, false),
  shortCase('header', false),
  shortCase(100, false),
  bufferCase('readable', 'receive buffers that are readable', (port) => {
    for (let i = 0; i < 4; i++)
      port.receiver().give([{ buffer: port.bench.allocate('a readable receive buffer', RECEIVE_BYTES) }]);
  }),
  bufferCase('half-readable', 'receive buffers whose header is readable', (port) => {
    for (let i = 0; i < 4; i++) {
      const header = port.bench.allocate('a readable header', port.header);
      const buffer = port.bench.allocate('a receive buffer', RECEIVE_BYTES, 64);
      port.receiver().give([{ buffer: header }, { buffer, isWritable: true }]);
    }
  }),
  bufferCase('same-buffer', 'receive buffers that are one and the same memory', (port) => {
    const buffer = port.bench.allocate('a receive buffer', RECEIVE_BYTES, 64);
    for (let i = 0; i < 4; i++) port.receiver().give([{ buffer, isWritable: true }]);
  }),
  bufferCase('nowhere', 'receive buffers where nothing is', (port) => {
    const ring = port.receiver();
    const buffer = port.bench.allocate('a receive buffer', RECEIVE_BYTES, 64);
    for (const [low, high] of port.bench.nowhere) ring.give([{ buffer: { ...buffer, low, high }, isWritable: true }]);
  }),
  ...hostileCases({ clause: QUEUES, features: [VIRTIO_NET_F_MQ] }, [
    {
      id: 'net/hostile-second-pair-not-asked-for',
      title: 'survives frames and receive buffers on a pair that the driver did not ask for',
      start: { pairs: 2 },
      run: async (port) => {
        if (port.config.queuePairs < 2) port.bench.skip('the device has one pair of queues');
        port.supply([RECEIVE_BYTES], 1);
        port.give(port.frame(), undefined, 1);
        await port.bench.settle();
      },
    },
    {
      id: 'net/hostile-pairs-without-queues',
      title: 'survives a command for pairs whose queues are not enabled',
      run: async (port) => {
        const { queuePairs } = port.config;
        if (queuePairs < 2) port.bench.skip('the device has one pair of queues');
        const laid = port.layOutCommand(pairsCommand(queuePairs, true), 1);
        port.control.give(laid.segments);
        await port.bench.settle();
        for (let flow = 1; flow <= 8; flow++) port.give(port.frame({ kind: 'ipv4', flow }));
        await port.bench.settle();
      },
    },
  ]),
  ...(
    [
      ['receive', [0]],
      ['transmit', [1]],
    ] as const
  ).map(([name, queues]) =>
    hostileCase({
      id: `net/hostile-only-${name}-queue`,
      clause: '2.6',
      title: `survives a driver that enables its ${name} queue only`,
      run: async ({ bench }) => {
        await bench.start({ queues, isUnattended: true });
        const ring = bench.ring(queues[0]);
        const buffer = bench.allocate('a buffer', RECEIVE_BYTES, 64);
        buffer.write(new Uint8Array(RECEIVE_BYTES));
        for (let i = 0; i < 4; i++) ring.give([{ buffer, isWritable: queues[0] === 0 }]);
        await bench.settle();
      },
    }),
  ),
];
