import { BOTH_LAYOUTS, caseGroup, type ConformCase, type Framing, offersFeature } from '@virtio-platform/core';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import * as ctrl from '../control/control-commands.ts';
import { addressCommand, ANNOUNCE_ACK, modeCommand, tablesCommand, vlanCommand } from '../control/net-command.ts';
import * as feature from '../net-features.ts';
import { VIRTIO_NET_S_ANNOUNCE } from '../layout.ts';
import { netCase, type NetTemplate } from './net-case.ts';
import { configOf, type NetPort } from './net-port.ts';

const COMMANDS = '5.1.6.5';
const MODES = '5.1.6.5.1.1';
/** No class and no command has it. */
const UNKNOWN = 0x7e;
const ON = modeCommand(ctrl.VIRTIO_NET_CTRL_RX_PROMISC, true);
/** A command with 20 bytes of data. */
const TABLES = tablesCommand(['02:00:00:00:00:07'], ['33:33:00:00:00:07'], true);

type CommandTemplate = Pick<NetTemplate, 'id' | 'title' | 'run'> & Partial<NetTemplate>;

function commandCase(template: CommandTemplate): ConformCase {
  return netCase({
    clause: COMMANDS,
    isLooped: false,
    features: [feature.VIRTIO_NET_F_CTRL_RX],
    start: { buffers: 2 },
    ...template,
  });
}
const commandCases = caseGroup(commandCase);

/** A command with data that is cut in one way. */
function cutCase(id: string, title: string, framing: Framing, rest: Partial<NetTemplate> = {}): ConformCase {
  return commandCase({
    id: `net/command-${id}`,
    title,
    layouts: BOTH_LAYOUTS,
    start: { buffers: 2, size: 32 },
    ...rest,
    run: async (port) => {
      for (let n = 0; n < 3; n++) port.bench.equal('the acknowledgement', await port.command(TABLES, framing), 0);
    },
  });
}

/** A receive mode that has to be supported. */
function modeCase(name: string, mode: number, feature: number): ConformCase {
  return commandCase({
    id: `net/mode-${name}`,
    clause: MODES,
    title: `turns ${name} on and off`,
    features: [feature],
    run: async (port) => {
      for (const isOn of [true, false, true, true, false]) await port.order(modeCommand(mode, isOn));
    },
  });
}

/** A command that is no command of a class. */
function unknownCase(name: string, ofClass: number, features: readonly number[]): ConformCase {
  return commandCase({
    id: `net/command-unknown-of-${name}`,
    level: 'SHOULD',
    title: `answers ERR to a command that the class ${name} does not have`,
    features: [feature.VIRTIO_NET_F_CTRL_VQ, ...features],
    run: (port) => port.refused({ class: ofClass, command: UNKNOWN, data: Uint8Array.of(1, 0) }),
  });
}

/** Gives several commands at once. */
async function atOnce(port: NetPort, count: number): Promise<void> {
  const ring = port.control;
  const given = Array.from({ length: count }, () => port.layOutCommand(TABLES, 1));
  const ids = given.map(({ segments }) => ring.add(segments));
  ring.publish();
  ring.kick();
  const acks = new Map(ids.map((id, i) => [id, given[i]!.segments.at(-1)!.buffer]));
  for (let i = 0; i < count; i++) {
    const { id } = await ring.takeNext();
    const ack = acks.get(id);
    port.bench.check(ack !== undefined, `it returned buffer ${id}, which it did not have`);
    acks.delete(id);
    port.bench.equal('the acknowledgement', ack!.read()[0]!, 0);
  }
}

/** So many addresses that begin with one byte. */
function many(first: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${first}:00:00:00:01:${i.toString(16).padStart(2, '0')}`);
}

/** The control queue (specification 1.4 section 5.1.6.5). */
export const NET_COMMAND_CASES: readonly ConformCase[] = [
  cutCase('whole', 'takes a command in one descriptor', {}),
  cutCase('class-apart', 'takes a command whose class and number are apart', { readable: [2] }),
  cutCase('class-from-number', 'takes a command whose class and number are in two descriptors', { readable: [1, 1] }),
  cutCase('in-odd-lengths', 'takes a command in descriptors of odd lengths', { readable: [3, 5, 1] }),
  cutCase('in-single-bytes', 'takes a command in descriptors of one byte each', {
    readable: Array.from({ length: 21 }, () => 1),
  }),
  cutCase(
    'in-a-table',
    'takes a command in an indirect table',
    { readable: [2, 4], indirect: true },
    {
      start: { buffers: 2, with: [VIRTIO_RING_F_INDIRECT_DESC] },
      needs: [offersFeature(VIRTIO_RING_F_INDIRECT_DESC, feature.NET_FEATURES)],
    },
  ),
  ...commandCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'net/command-used-length',
      clause: '2.7.8.2',
      title: 'returns a command with a used length of the acknowledgement',
      run: async (port) => {
        const laid = port.layOutCommand(ON, 1);
        const { length } = await port.bench.serve(laid);
        port.bench.check(length <= 1, `the used length is ${length}`);
        port.bench.equal('the acknowledgement', laid.segments.at(-1)!.buffer.read()[0]!, 0);
      },
    },
    {
      id: 'net/command-acknowledged-in-front',
      title: 'writes the acknowledgement into the first of several writable bytes',
      run: async (port) => {
        for (const writable of [[], [1], [3]]) {
          const laid = port.layOutCommand(ON, 8, { writable });
          await port.bench.serve(laid);
          const first = laid.segments.find(({ isWritable }) => isWritable)!.buffer;
          port.bench.equal('the acknowledgement', first.read()[0]!, 0);
        }
      },
    },
    {
      id: 'net/command-batch',
      title: 'does all commands of a batch',
      start: { buffers: 2, size: 32 },
      run: async (port) => {
        for (let round = 0; round < 3; round++) await atOnce(port, 8);
      },
    },
    {
      id: 'net/command-laps',
      title: 'does 100 commands over a ring of 4',
      start: { buffers: 2, size: 4 },
      run: async (port) => {
        for (let n = 0; n < 100; n++) await port.order(modeCommand(ctrl.VIRTIO_NET_CTRL_RX_PROMISC, n % 2 === 0));
      },
    },
    {
      id: 'net/command-in-order',
      clause: '6.2',
      title: 'returns commands in their order, with IN_ORDER',
      needs: [offersFeature(VIRTIO_F_IN_ORDER, feature.NET_FEATURES)],
      start: { buffers: 2, size: 32, with: [VIRTIO_F_IN_ORDER] },
      run: async (port) => {
        const ring = port.control;
        const ids = Array.from({ length: 6 }, () => ring.add(port.layOutCommand(ON, 1).segments));
        ring.publish();
        ring.kick();
        for (const id of ids) port.bench.equal('the used id', (await ring.takeNext()).id, id);
      },
    },
    {
      id: 'net/command-notified',
      clause: '2.7.7.2',
      title: 'notifies of the commands that the driver wants to be told of',
      run: async (port) => {
        const { bench } = port;
        for (let n = 0; n < 3; n++) {
          await bench.settle();
          bench.drain();
          await port.order(ON);
          bench.check(await bench.notified(), 'no notification of a command');
        }
      },
    },
    {
      id: 'net/command-event',
      clause: '2.7.7.2',
      title: 'notifies as a command reaches the event',
      needs: [offersFeature(VIRTIO_RING_F_EVENT_IDX, feature.NET_FEATURES)],
      start: { buffers: 2, with: [VIRTIO_RING_F_EVENT_IDX] },
      run: async (port) => {
        const { bench } = port;
        for (let n = 0; n < 6; n++) {
          port.control.wantNotificationAt(port.control.nextUsed);
          await bench.settle();
          bench.drain();
          await port.order(ON);
          bench.check(await bench.notified(), 'no notification of a command at the event');
        }
      },
    },
    {
      id: 'net/command-among-frames',
      title: 'does commands while frames come and go',
      isLooped: true,
      start: { buffers: 16, size: 32 },
      run: async (port) => {
        for (let number = 1; number <= 12; number++) {
          const frame = port.frame({ number });
          port.give(frame);
          await port.order(ON);
          await port.transmitter().takeNext();
          await port.expect(frame);
        }
      },
    },
    {
      id: 'net/command-of-no-class',
      level: 'SHOULD',
      title: 'answers ERR to a class that there is not, and goes on',
      features: [feature.VIRTIO_NET_F_CTRL_RX],
      run: async (port) => {
        for (const ofClass of [UNKNOWN, 0xff])
          await port.refused({ class: ofClass, command: 0, data: Uint8Array.of(1) });
        await port.order(ON);
      },
    },
  ]),
  unknownCase('rx', ctrl.VIRTIO_NET_CTRL_RX, [feature.VIRTIO_NET_F_CTRL_RX]),
  unknownCase('mac', ctrl.VIRTIO_NET_CTRL_MAC, [feature.VIRTIO_NET_F_CTRL_MAC_ADDR]),
  unknownCase('vlan', ctrl.VIRTIO_NET_CTRL_VLAN, [feature.VIRTIO_NET_F_CTRL_VLAN]),
  unknownCase('announce', ctrl.VIRTIO_NET_CTRL_ANNOUNCE, [feature.VIRTIO_NET_F_GUEST_ANNOUNCE]),
  unknownCase('mq', ctrl.VIRTIO_NET_CTRL_MQ, [feature.VIRTIO_NET_F_MQ]),
  unknownCase('offloads', ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS, [feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS]),
  modeCase('promiscuous', ctrl.VIRTIO_NET_CTRL_RX_PROMISC, feature.VIRTIO_NET_F_CTRL_RX),
  modeCase('all-multicast', ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI, feature.VIRTIO_NET_F_CTRL_RX),
  modeCase('all-unicast', ctrl.VIRTIO_NET_CTRL_RX_ALLUNI, feature.VIRTIO_NET_F_CTRL_RX_EXTRA),
  modeCase('no-multicast', ctrl.VIRTIO_NET_CTRL_RX_NOMULTI, feature.VIRTIO_NET_F_CTRL_RX_EXTRA),
  modeCase('no-unicast', ctrl.VIRTIO_NET_CTRL_RX_NOUNI, feature.VIRTIO_NET_F_CTRL_RX_EXTRA),
  modeCase('no-broadcast', ctrl.VIRTIO_NET_CTRL_RX_NOBCAST, feature.VIRTIO_NET_F_CTRL_RX_EXTRA),
  commandCase({
    id: 'net/mac-in-configuration',
    clause: '5.1.6.5.2.1',
    title: 'has a new address in mac before it returns the command',
    features: [feature.VIRTIO_NET_F_CTRL_MAC_ADDR, feature.VIRTIO_NET_F_MAC],
    run: async (port) => {
      for (const mac of ['02:00:00:aa:bb:01', '02:00:00:aa:bb:02']) {
        await port.order(addressCommand(mac));
        port.bench.equal('mac', configOf(port.bench).mac ?? 'none', mac);
      }
    },
  }),
  commandCase({
    id: 'net/tables-of-all-lengths',
    clause: '5.1.6.5.2.1',
    title: 'takes tables of no, one and 40 addresses',
    run: async (port) => {
      for (const [unicasts, multicasts] of [
        [0, 0],
        [1, 0],
        [0, 1],
        [40, 0],
        [0, 40],
        [40, 40],
      ] as const)
        await port.order(tablesCommand(many('02', unicasts), many('33', multicasts), true));
    },
  }),
  commandCase({
    id: 'net/vlans-of-all-numbers',
    clause: '5.1.6.5.3.1',
    title: 'adds and removes VLANs 0, 1, 31, 32, 4094 and 4095',
    features: [feature.VIRTIO_NET_F_CTRL_VLAN],
    run: async (port) => {
      for (const vlan of [0, 1, 31, 32, 4094, 4095]) await port.order(vlanCommand(vlan, true, true));
      for (const vlan of [0, 1, 31, 32, 4094, 4095]) await port.order(vlanCommand(vlan, false, true));
    },
  }),
  commandCase({
    id: 'net/announce-acknowledged',
    clause: '5.1.6.5.4.2',
    title: 'does not ask for an announcement once it is acknowledged',
    features: [feature.VIRTIO_NET_F_GUEST_ANNOUNCE, feature.VIRTIO_NET_F_STATUS],
    run: async (port) => {
      const ack = await port.command(ANNOUNCE_ACK);
      port.bench.check(ack <= 1, `the acknowledgement is ${ack}`);
      const status = new Uint8Array(2);
      port.bench.transport.readConfig(6, status);
      port.bench.equal('ANNOUNCE of status', status[0]! & VIRTIO_NET_S_ANNOUNCE, 0);
    },
  }),
];
