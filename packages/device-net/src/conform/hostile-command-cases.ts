import type { ConformCase } from '@virtio-platform/core';
import * as ctrl from '../control/control-commands.ts';
import { hashCommand, scalingCommand, type NetCommand } from '../control/net-command.ts';
import * as feature from '../net-features.ts';
import { hostileCase, hostileCases } from './hostile-case.ts';
import type { NetPort } from './net-port.ts';

const COMMANDS = '5.1.6.5';
const KEY = new Uint8Array(40).fill(7);

/** Gives the control queue raw parts: what it reads, and how many bytes it may write. */
function give(port: NetPort, readable: Uint8Array, writable: number): void {
  const out = port.bench.allocate('a command', Math.max(1, readable.length));
  out.write(readable);
  const into = port.bench.allocate('an acknowledgement', Math.max(1, writable), 64);
  port.control.give([
    ...(readable.length > 0 ? [{ buffer: out }] : []),
    ...(writable > 0 ? [{ buffer: into, isWritable: true }] : []),
  ]);
}

/** A command that is cut short, or that asks for what cannot be. It may not be acknowledged with OK. */
function wrongCase(
  id: string,
  title: string,
  features: readonly number[],
  command: (port: NetPort) => NetCommand,
): ConformCase {
  return hostileCase({
    id: `net/hostile-command-${id}`,
    clause: COMMANDS,
    title: `does not acknowledge ${title}`,
    layouts: ['split'],
    features: [feature.VIRTIO_NET_F_CTRL_VQ, ...features],
    run: async (port) => {
      const wrong = command(port);
      const ack = await port.command(wrong);
      // What a device took shows with the frames that come.
      for (let flow = 1; flow <= 8; flow++) await port.send(port.frame({ kind: 'ipv4', flow }));
      await port.bench.settle();
      port.bench.check(ack !== 0, `the acknowledgement of ${wrong.class}.${wrong.command} is OK`);
    },
  });
}

function cut(
  name: string,
  ofClass: number,
  command: number,
  bytes: readonly number[],
  features: readonly number[],
): ConformCase {
  return wrongCase(`short-${name}`, `the command ${name} with ${bytes.length} bytes of data`, features, () => ({
    class: ofClass,
    command,
    data: Uint8Array.from(bytes),
  }));
}

/** A change of the data of a command. */
function changed({ data, ...rest }: NetCommand, change: (view: DataView) => void): NetCommand {
  const bytes = data.slice();
  change(new DataView(bytes.buffer));
  return { ...rest, data: bytes };
}

const scaling = (table: readonly number[], transmitQueues = 1): NetCommand =>
  scalingCommand({ hashTypes: 1, table, unclassified: 0, transmitQueues, key: KEY }, true);

/** Commands that no driver may send (specification 1.4 section 5.1.6.5). */
export const HOSTILE_COMMAND_CASES: readonly ConformCase[] = [
  ...(
    [
      ['no-class', 0, 1],
      ['no-number', 1, 1],
      ['no-acknowledgement', 3, 0],
      ['nothing-to-read', 0, 64],
      ['of-65536-bytes', 65_536, 1],
    ] as const
  ).map(([name, bytes, writable]) =>
    hostileCase({
      id: `net/hostile-command-${name}`,
      clause: COMMANDS,
      title: `survives a command of ${bytes} bytes with ${writable} to write`,
      features: [feature.VIRTIO_NET_F_CTRL_VQ],
      run: (port) => give(port, new Uint8Array(bytes).fill(0, 0, 2), writable),
    }),
  ),
  hostileCase({
    id: 'net/hostile-command-acknowledgement-first',
    clause: COMMANDS,
    title: 'survives a command whose writable byte comes first',
    features: [feature.VIRTIO_NET_F_CTRL_VQ],
    run: (port) => {
      const ack = port.bench.allocate('an acknowledgement', 1, 64);
      const command = port.bench.allocate('a command', 3);
      command.write(Uint8Array.of(0, 0, 1));
      port.control.give([{ buffer: ack, isWritable: true }, { buffer: command }]);
    },
  }),
  cut('mode', ctrl.VIRTIO_NET_CTRL_RX, 0, [], [feature.VIRTIO_NET_F_CTRL_RX]),
  cut(
    'address',
    ctrl.VIRTIO_NET_CTRL_MAC,
    ctrl.VIRTIO_NET_CTRL_MAC_ADDR_SET,
    [2, 0, 0, 0, 0],
    [feature.VIRTIO_NET_F_CTRL_MAC_ADDR],
  ),
  cut(
    'table-count',
    ctrl.VIRTIO_NET_CTRL_MAC,
    ctrl.VIRTIO_NET_CTRL_MAC_TABLE_SET,
    [1, 0],
    [feature.VIRTIO_NET_F_CTRL_RX],
  ),
  cut(
    'table',
    ctrl.VIRTIO_NET_CTRL_MAC,
    ctrl.VIRTIO_NET_CTRL_MAC_TABLE_SET,
    [2, 0, 0, 0, 2, 0, 0, 0, 0, 1],
    [feature.VIRTIO_NET_F_CTRL_RX],
  ),
  cut(
    'second-table',
    ctrl.VIRTIO_NET_CTRL_MAC,
    ctrl.VIRTIO_NET_CTRL_MAC_TABLE_SET,
    [0, 0, 0, 0],
    [feature.VIRTIO_NET_F_CTRL_RX],
  ),
  cut('vlan', ctrl.VIRTIO_NET_CTRL_VLAN, 0, [5], [feature.VIRTIO_NET_F_CTRL_VLAN]),
  cut('pairs', ctrl.VIRTIO_NET_CTRL_MQ, ctrl.VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, [1], [feature.VIRTIO_NET_F_MQ]),
  cut(
    'offloads',
    ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS,
    ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
    [0, 0, 0, 0],
    [feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS],
  ),
  cut(
    'scaling',
    ctrl.VIRTIO_NET_CTRL_MQ,
    ctrl.VIRTIO_NET_CTRL_MQ_RSS_CONFIG,
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [feature.VIRTIO_NET_F_RSS],
  ),
  cut(
    'hash',
    ctrl.VIRTIO_NET_CTRL_MQ,
    ctrl.VIRTIO_NET_CTRL_MQ_HASH_CONFIG,
    [1, 0, 0, 0],
    [feature.VIRTIO_NET_F_HASH_REPORT],
  ),
  wrongCase('table-of-4-billion', 'a table of 2^32 - 1 addresses', [feature.VIRTIO_NET_F_CTRL_RX], () => ({
    class: ctrl.VIRTIO_NET_CTRL_MAC,
    command: ctrl.VIRTIO_NET_CTRL_MAC_TABLE_SET,
    data: Uint8Array.from([0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
  })),
  wrongCase('table-that-wraps', 'a table whose bytes pass 32 bits', [feature.VIRTIO_NET_F_CTRL_RX], () => ({
    class: ctrl.VIRTIO_NET_CTRL_MAC,
    command: ctrl.VIRTIO_NET_CTRL_MAC_TABLE_SET,
    // 0x2aaaaaab addresses are 2^32 + 2 bytes.
    data: Uint8Array.from([0xab, 0xaa, 0xaa, 0x2a, 0, 0, 0, 0, 0, 0, 0, 0]),
  })),
  wrongCase('vlan-4096', 'a VLAN of 4096', [feature.VIRTIO_NET_F_CTRL_VLAN], () => ({
    class: ctrl.VIRTIO_NET_CTRL_VLAN,
    command: 0,
    data: Uint8Array.of(0, 0x10),
  })),
  wrongCase('scaling-of-3-entries', 'an indirection table of 3 entries', [feature.VIRTIO_NET_F_RSS], () =>
    scaling([0, 0, 0]),
  ),
  wrongCase(
    'scaling-past-end',
    'an indirection table that is longer than the command',
    [feature.VIRTIO_NET_F_RSS],
    () => changed(scaling([0, 0]), (view) => view.setUint16(4, 0x7f, true)),
  ),
  wrongCase('scaling-of-65536-entries', 'an indirection table of 65536 entries', [feature.VIRTIO_NET_F_RSS], () =>
    changed(scaling([0, 0]), (view) => view.setUint16(4, 0xffff, true)),
  ),
  wrongCase(
    'scaling-to-no-queue',
    'an indirection table with a queue that there is not',
    [feature.VIRTIO_NET_F_RSS],
    () => scaling([0x7fff, 0x7fff]),
  ),
  wrongCase('scaling-unclassified-nowhere', 'an unclassified queue that there is not', [feature.VIRTIO_NET_F_RSS], () =>
    changed(scaling([0]), (view) => view.setUint16(6, 0x7fff, true)),
  ),
  wrongCase('scaling-of-no-transmit-queue', 'a number of 0 transmit queues', [feature.VIRTIO_NET_F_RSS], () =>
    scaling([0], 0),
  ),
  wrongCase('hash-key-too-long', 'a hash key of 255 bytes', [feature.VIRTIO_NET_F_HASH_REPORT], () =>
    changed(hashCommand({ hashTypes: 1, key: KEY }, true), (view) => view.setUint8(12, 255)),
  ),
  ...hostileCases({ clause: COMMANDS, features: [feature.VIRTIO_NET_F_CTRL_VQ] }, [
    {
      id: 'net/hostile-announce-not-accepted',
      title: 'survives an acknowledgement of an announcement that was not asked for',
      run: (port) =>
        give(port, Uint8Array.of(ctrl.VIRTIO_NET_CTRL_ANNOUNCE, ctrl.VIRTIO_NET_CTRL_ANNOUNCE_ACK, 1, 2, 3), 1),
    },
    {
      id: 'net/hostile-commands-too-many',
      title: 'survives a control ring that is full of commands without room for an answer',
      run: (port) => {
        for (let i = 0; i < port.control.size; i++) give(port, Uint8Array.of(0, 0, 1), 0);
      },
    },
  ]),
];
