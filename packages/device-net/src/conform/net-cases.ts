import { type Clause, type DeviceCases, feedRing, type GoodRequest, type RequestBench } from '@virtio-platform/core';
import { modeCommand } from '../control/net-command.ts';
import { VIRTIO_NET_CTRL_RX_PROMISC } from '../control/control-commands.ts';
import { NET_COMMAND_SIZE } from '../layout.ts';
import { netHeaderSize } from '../offload/net-header.ts';
import { NET_CONFIG_CASES } from './config-cases.ts';
import { NET_COMMAND_CASES } from './command-cases.ts';
import { NET_FILTER_CASES } from './filter-cases.ts';
import { NET_HASH_CASES } from './hash-cases.ts';
import { HOSTILE_COMMAND_CASES } from './hostile-command-cases.ts';
import { HOSTILE_FRAME_CASES } from './hostile-frame-cases.ts';
import { HOSTILE_RECEIVE_CASES } from './hostile-receive-cases.ts';
import { NET_MERGE_CASES } from './merge-cases.ts';
import { frameOf } from './net-frame.ts';
import { configOf, NetPort, RECEIVE_BYTES } from './net-port.ts';
import { NET_OFFLOAD_CASES } from './offload-cases.ts';
import { NET_PAIR_CASES } from './pair-cases.ts';
import { NET_RECEIVE_CASES } from './receive-cases.ts';
import { NET_TRANSMIT_CASES } from './transmit-cases.ts';

const RECEIVE = 0;
const TRANSMIT = 1;
/** Bytes of data of the frames of the ring's cases, and steps by which they grow. */
const DATA = 46;
const STEP = 8;

/** A frame, as the cases of the ring send it. */
function transmission(n: number, bench: RequestBench): GoodRequest {
  const frame = frameOf({ number: n + 1, data: DATA + STEP * (n % 5) });
  const header = netHeaderSize(bench.accepted);
  const readable = new Uint8Array(header + frame.length);
  readable.set(frame, header);
  return { queue: TRANSMIT, readable, writable: 0, check: () => undefined };
}

/** A command that changes nothing, for the control queue. */
function harmlessCommand(queue: number): GoodRequest {
  const { class: ofClass, command, data } = modeCommand(VIRTIO_NET_CTRL_RX_PROMISC, true);
  const readable = new Uint8Array(NET_COMMAND_SIZE + data.length);
  readable.set([ofClass, command, ...data]);
  return {
    queue,
    readable,
    writable: 1,
    check: ([ack]) => (ack! <= 1 ? undefined : `the acknowledgement is ${ack}, and has to be OK or ERR`),
  };
}

const CLAUSES: readonly Clause[] = [
  { section: '5.1.4', level: 'text', requires: 'fields of the configuration, and queues for what they say' },
  {
    section: '5.1.4.1',
    level: 'MUST',
    requires: 'values in their ranges; an MTU that stays, and frames of it that are forwarded whole',
  },
  { section: '5.1.6', level: 'text', requires: 'a header of 12 bytes in front of each packet, of 20 with HASH_REPORT' },
  { section: '5.1.6.2', level: 'text', requires: 'packets of any length are sent, and offloads done' },
  {
    section: '5.1.6.2.2',
    level: 'MUST',
    requires: 'no use of unknown flags, of csum_start without NEEDS_CSUM, and of hdr_len as a fact',
  },
  { section: '5.1.6.3.2', level: 'MUST', requires: 'one buffer for each packet without MRG_RXBUF' },
  {
    section: '5.1.6.4.1',
    level: 'MUST',
    requires: 'num_buffers, buffers that are filled and shown together, and no offload that was not accepted',
  },
  { section: '5.1.6.4.3', level: 'text', requires: 'the Toeplitz hash of the types that are enabled' },
  { section: '5.1.6.4.5', level: 'text', requires: 'hash_report says which hash there is' },
  { section: '5.1.6.5', level: 'text', requires: 'commands of any framing, answered in the first writable byte' },
  { section: '5.1.6.5.1.1', level: 'MUST', requires: 'the receive modes' },
  { section: '5.1.6.5.2.1', level: 'MUST', requires: 'the MAC table, and mac in the configuration' },
  { section: '5.1.6.5.3.1', level: 'MUST', requires: 'packets of VLANs in the table, and of all without CTRL_VLAN' },
  { section: '5.1.6.5.4.2', level: 'MUST', requires: 'ANNOUNCE is clear once it is acknowledged' },
  { section: '5.1.6.5.6.2', level: 'MUST', requires: 'receive queues up to virtqueue_pairs, and the first at first' },
  { section: '5.1.6.5.7.2', level: 'MUST', requires: 'receive-side scaling by hash and table' },
  { section: '5.1.6.5.9', level: 'text', requires: 'offloads of the receiving side that change at run time' },
  {
    section: '5.1.6.4.1 (checksums)',
    level: 'MUST',
    requires: 'a packet with NEEDS_CSUM or DATA_VALID has been validated',
    unseen: 'packets with wrong checksums come from outside, and the network of a case gives back its own',
  },
  {
    section: '5.1.6.5.10',
    level: 'MUST',
    requires: 'notifications that are coalesced',
    unseen: 'conform has no case of NOTF_COAL and VQ_NOTF_COAL: the driver half does not accept them',
  },
];

/** The cases of a network device (specification 1.4 section 5.1). Those that see frames again need a looped network. */
export const NET_CASES: DeviceCases = {
  clauses: CLAUSES,
  queues: [TRANSMIT, RECEIVE],
  open: async (bench) => {
    await NetPort.findLoop(bench);
    return transmission;
  },
  unprepared: transmission,
  // No frame that comes back makes the device wait.
  attend: (bench) => feedRing(bench, RECEIVE, RECEIVE_BYTES),
  requestOn: (queue, usual, bench) => {
    if (queue === TRANSMIT) return usual;
    return queue === configOf(bench).controlQueue ? harmlessCommand(queue) : undefined;
  },
  cases: [
    ...NET_CONFIG_CASES,
    ...NET_TRANSMIT_CASES,
    ...NET_RECEIVE_CASES,
    ...NET_MERGE_CASES,
    ...NET_OFFLOAD_CASES,
    ...NET_COMMAND_CASES,
    ...NET_FILTER_CASES,
    ...NET_PAIR_CASES,
    ...NET_HASH_CASES,
    ...HOSTILE_FRAME_CASES,
    ...HOSTILE_RECEIVE_CASES,
    ...HOSTILE_COMMAND_CASES,
  ],
};
