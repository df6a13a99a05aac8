import {
  answering,
  commanding,
  receiving,
  sending,
  NET_BITS,
  type FoundBug,
  type SentCommand,
  type SentFrame,
} from './net-device-bug.ts';
import { altered, config } from './register-bugs.ts';
import type { ReceivedBuffer } from './net-device-bug.ts';

const OK = 0;

/** Crashes at a frame of some kind. */
function crashing(id: string, isSo: (frame: SentFrame) => boolean): FoundBug {
  return sending(`crashes at ${id}`, [`net/hostile-${id}`], (frame) => {
    if (isSo(frame)) frame.device.crash();
    return frame.handle();
  });
}

/** Crashes at a receive buffer of some kind. */
function crashingAtBuffer(id: string, isSo: (buffer: ReceivedBuffer) => boolean): FoundBug {
  return receiving(`crashes at receive buffers: ${id}`, [`net/hostile-receive-${id}`], (buffer) => {
    if (isSo(buffer)) buffer.device.crash();
    return buffer.written;
  });
}

/** Crashes at a command of some kind. */
function crashingAtCommand(id: string, isSo: (command: SentCommand) => boolean): FoundBug {
  return commanding(`crashes at a command: ${id}`, [`net/hostile-${id}`], (command) => {
    if (isSo(command)) command.device.crash();
    return command.handle();
  });
}

/** Acknowledges a command that it cannot do. */
function acknowledging(id: string, isSo: (command: SentCommand) => boolean): FoundBug {
  return answering(`acknowledges ${id}`, [`net/hostile-command-${id}`], OK, isSo);
}

const u16 = (bytes: Uint8Array, at = 0): number => bytes[at]! | (bytes[at + 1]! << 8);
const isCut = ({ fields }: SentFrame): boolean => fields.gsoType === 1 && fields.gsoSize === 1000;
const hasChecksum = ({ fields }: SentFrame): boolean => fields.flags === 1 && fields.gsoType === 0;
const byteOf = (frame: SentFrame, at: number): number => frame.frame[at] ?? -1;

const FRAME_BUGS: readonly FoundBug[] = [
  ...[1, 9, 11].map((bytes) => crashing(`request-of-${bytes}`, ({ chain }) => chain.readableBytes === bytes)),
  crashing('request-of-header', ({ chain, header }) => chain.readableBytes === header),
  crashing('request-of-header-and-1', ({ chain, header }) => chain.readableBytes === header + 1),
  crashing('request-of-header-and-13', ({ chain, header }) => chain.readableBytes === header + 13),
  ...[65_536, 65_600, 131_072, 1_048_576].map((bytes) =>
    crashing(`frame-of-${bytes}`, ({ chain, header }) => chain.readableBytes === header + bytes),
  ),
  crashing('transmit-writable', ({ chain }) => chain.readable === 0),
  crashing('transmit-half-writable', ({ chain }) => chain.readable > 0 && chain.writableBytes > 0),
  crashing('frame-of-1000-descriptors', ({ chain }) => chain.readable >= 1000),
  crashing('header-all-ones', ({ fields }) => fields.flags === 0xff),
  ...[2, 6, 0x20, 0x60, 0x7f, 0x80].map((gsoType) =>
    crashing(`gso-type-${gsoType}`, ({ fields }) => fields.gsoType === gsoType),
  ),
  crashing('gso-not-accepted', ({ fields }) => fields.gsoType === 3),
  crashing('gso-without-checksum', ({ fields }) => fields.gsoType === 1 && fields.flags === 0),
  crashing('gso-size-0', ({ fields }) => fields.gsoType === 1 && fields.gsoSize === 0),
  crashing('gso-size-1', ({ fields }) => fields.gsoSize === 1),
  crashing('gso-size-65535', ({ fields }) => fields.gsoSize === 0xffff),
  crashing('gso-of-other-version', ({ fields, layers }) => fields.gsoType === 4 && layers.version === 4),
  crashing('gso-of-other-protocol', ({ fields, layers }) => fields.gsoType === 5 && layers.protocol === 6),
  crashing('gso-of-no-protocol', ({ fields, layers }) => fields.gsoType === 1 && layers.version === 0),
  crashing('gso-of-datagrams-too-many', ({ fields }) => fields.gsoType === 5 && fields.gsoSize === 10),
  crashing('ecn-alone', ({ fields }) => fields.gsoType === 0x85),
  crashing('header-length-past-end', ({ fields }) => fields.headerLength === 60_000),
  crashing('header-length-65535', ({ fields }) => fields.headerLength === 0xffff && fields.flags === 0),
  crashing('checksum-past-end', (frame) => hasChecksum(frame) && frame.fields.checksumStart === 1000),
  crashing('checksum-at-end', (frame) => hasChecksum(frame) && frame.fields.checksumStart === frame.frame.length),
  crashing(
    'checksum-half-outside',
    (frame) =>
      hasChecksum(frame) && frame.fields.checksumStart + frame.fields.checksumOffset + 1 === frame.frame.length,
  ),
  crashing('checksum-start-65535', (frame) => hasChecksum(frame) && frame.fields.checksumStart === 0xffff),
  crashing('checksum-overflow', (frame) => frame.fields.checksumStart + frame.fields.checksumOffset === 0x1_0010),
  crashing(
    'checksum-in-address',
    (frame) => hasChecksum(frame) && frame.fields.checksumStart + frame.fields.checksumOffset === 0,
  ),
  crashing('checksum-not-accepted', (frame) => hasChecksum(frame) && !frame.accepted.has(NET_BITS.csum)),
  crashing('num-buffers', ({ fields }) => fields.buffers === 0xffff),
  crashing('ip-header-of-0', (frame) => isCut(frame) && byteOf(frame, 14) === 0x40),
  crashing('ip-header-of-60', (frame) => isCut(frame) && byteOf(frame, 14) === 0x4f),
  crashing('ip-length-0', (frame) => isCut(frame) && byteOf(frame, 16) + byteOf(frame, 17) === 0),
  crashing('ip-length-65535', (frame) => isCut(frame) && byteOf(frame, 16) === 0xff),
  crashing('ip-fragment', (frame) => isCut(frame) && byteOf(frame, 20) === 0x20),
  crashing('tcp-header-of-0', (frame) => isCut(frame) && byteOf(frame, 46) === 0),
  crashing('tcp-header-of-60', (frame) => isCut(frame) && byteOf(frame, 46) === 0xf0),
  crashing('ip-version-0', (frame) => isCut(frame) && byteOf(frame, 14) === 0x05),
  crashing('cut-in-headers', ({ fields, frame }) => fields.gsoType === 1 && frame.length < 54),
  crashing('tag-without-frame', ({ frame }) => frame.length === 16 && frame[12] === 0x81),
];

const isMerged = ({ accepted }: ReceivedBuffer): boolean => accepted.has(NET_BITS.mrgRxbuf);

/** Crashes at a notification of a queue where some other one is not enabled. */
function crashingWithout(id: string, queue: number, other: number): FoundBug {
  return [
    {
      name: `crashes at ${id}`,
      transport: altered((inner, device) => ({
        notify: (index, next) => {
          if (index === queue && inner.isQueueReset(other)) device.crash();
          inner.notify(index, next);
        },
      })),
    },
    [`net/hostile-${id}`],
  ];
}

const BUFFER_BUGS: readonly FoundBug[] = [
  crashingAtBuffer('of-1', (buffer) => isMerged(buffer) && buffer.chain.writableBytes === 1),
  crashingAtBuffer('of-11', (buffer) => isMerged(buffer) && buffer.chain.writableBytes === 11),
  crashingAtBuffer('of-header', (buffer) => isMerged(buffer) && buffer.chain.writableBytes === buffer.header),
  crashingAtBuffer('of-1-alone', (buffer) => !isMerged(buffer) && buffer.chain.writableBytes === 1),
  crashingAtBuffer('of-11-alone', (buffer) => !isMerged(buffer) && buffer.chain.writableBytes === 11),
  crashingAtBuffer('of-header-alone', (buffer) => !isMerged(buffer) && buffer.chain.writableBytes === buffer.header),
  crashingAtBuffer('of-100-alone', (buffer) => !isMerged(buffer) && buffer.chain.writableBytes === 100),
  crashingAtBuffer('readable', ({ chain }) => chain.writableBytes === 0),
  crashingAtBuffer('half-readable', ({ chain }) => chain.readable > 0 && chain.writableBytes > 0),
  crashingAtBuffer('same-buffer', ({ chain, device }) => {
    const isAgain = device.count === chain.low[0];
    device.count = chain.low[0]!;
    return isAgain;
  }),
  crashingAtBuffer('nowhere', ({ chain, space }) => chain.high[0]! > 0 || chain.low[0]! >= space.memory.size),
  [
    {
      name: 'crashes at a pair that was not asked for',
      transport: altered((inner, device) => ({
        notify: (queue, next) => {
          if (queue === 3) device.crash();
          inner.notify(queue, next);
        },
      })),
    },
    ['net/hostile-second-pair-not-asked-for'],
  ],
  commanding('crashes at pairs whose queues are not enabled', ['net/hostile-pairs-without-queues'], (command) => {
    if (command.is(4, 0) && command.device.rings[3] === undefined) command.device.crash();
    return command.handle();
  }),
  crashingWithout('only-receive-queue', 0, 1),
  crashingWithout('only-transmit-queue', 1, 0),
];

/** A command that is cut short. */
function short(name: string, ofClass: number, command: number, bytes: number): FoundBug {
  return acknowledging(`short-${name}`, (seen) => seen.is(ofClass, command) && seen.data.length === bytes);
}

const isScaling = (command: SentCommand): boolean => command.is(4, 1) && command.data.length > 10;

const COMMAND_BUGS: readonly FoundBug[] = [
  crashingAtCommand('command-no-class', ({ chain }) => chain.readableBytes === 0 && chain.writableBytes === 1),
  crashingAtCommand('command-no-number', ({ chain }) => chain.readableBytes === 1),
  crashingAtCommand('command-no-acknowledgement', ({ chain }) => chain.writableBytes === 0),
  crashingAtCommand('command-nothing-to-read', ({ chain }) => chain.readableBytes === 0 && chain.writableBytes === 64),
  crashingAtCommand('command-of-65536-bytes', ({ chain }) => chain.readableBytes === 65_536),
  [
    {
      name: 'crashes at a command whose acknowledgement is first',
      idle: (ring) => {
        if (ring.broken?.code === 'descriptor-order-invalid') ring.device.crash();
      },
    },
    ['net/hostile-command-acknowledgement-first'],
  ],
  short('mode', 0, 0, 0),
  short('address', 1, 1, 5),
  short('table-count', 1, 0, 2),
  short('table', 1, 0, 10),
  short('second-table', 1, 0, 4),
  short('vlan', 2, 0, 1),
  short('pairs', 4, 0, 1),
  short('offloads', 5, 0, 4),
  short('scaling', 4, 1, 10),
  short('hash', 4, 2, 4),
  acknowledging('table-of-4-billion', (command) => command.is(1, 0) && command.data[3] === 0xff),
  acknowledging('table-that-wraps', (command) => command.is(1, 0) && command.data[3] === 0x2a),
  acknowledging('vlan-4096', (command) => command.is(2, 0) && u16(command.data) === 4096),
  acknowledging('scaling-of-3-entries', (command) => isScaling(command) && u16(command.data, 4) === 2),
  acknowledging('scaling-past-end', (command) => isScaling(command) && u16(command.data, 4) === 0x7f),
  acknowledging('scaling-of-65536-entries', (command) => isScaling(command) && u16(command.data, 4) === 0xffff),
  acknowledging('scaling-to-no-queue', (command) => isScaling(command) && u16(command.data, 10) === 0x7fff),
  acknowledging('scaling-unclassified-nowhere', (command) => isScaling(command) && u16(command.data, 6) === 0x7fff),
  acknowledging('scaling-of-no-transmit-queue', (command) => isScaling(command) && u16(command.data, 10) === 0),
  acknowledging('hash-key-too-long', (command) => command.is(4, 2) && command.data[12] === 255),
  crashingAtCommand('announce-not-accepted', (command) => command.is(3, 0) && command.data.length === 3),
  crashingAtCommand(
    'commands-too-many',
    ({ chain, device }) => chain.writableBytes === 0 && device.rings[6]!.taken >= 12,
  ),
];

const CONFIG_BUGS: readonly FoundBug[] = [
  [config('says 0 pairs', (bytes) => bytes.fill(0, 8, 10)), ['net/max-pairs']],
  [config('says more pairs than it has queues', (bytes) => (bytes[8] = 9)), ['net/queues-of-pairs']],
  [config('has an MTU of 67', (bytes) => bytes.set([67, 0], 10)), ['net/mtu-range', 'net/mtu-of-ipv6']],
  [
    {
      name: 'changes its MTU',
      transport: altered((inner, device) => ({
        readConfig: (offset, bytes) => {
          inner.readConfig(offset, bytes);
          if (offset === 10 && bytes.length === 2) bytes[0]! ^= device.count++ & 1;
        },
      })),
    },
    ['net/mtu-stays'],
  ],
  sending('drops frames of its MTU', ['net/mtu-forwarded'], (frame) =>
    frame.frame.length === 1514 ? frame.drop() : frame.handle(),
  ),
  [config('has a speed above the largest', (bytes) => (bytes[15] = 0x90)), ['net/speed-range']],
  [config('has a duplex of 2', (bytes) => (bytes[16] = 2)), ['net/duplex-values']],
  [
    {
      name: 'changes its speed',
      transport: altered((inner, device) => ({
        readConfig: (offset, bytes) => {
          inner.readConfig(offset, bytes);
          if (offset === 12 && bytes.length === 4) bytes[0] = device.count++ & 0xff;
        },
      })),
    },
    ['net/speed-stays'],
  ],
  [config('takes keys of 39 bytes', (bytes) => (bytes[17] = 39)), ['net/hash-key-size']],
  [config('takes tables of 64 entries at most', (bytes) => (bytes[18] = 64)), ['net/table-length']],
  [config('has hash types that there are not', (bytes) => (bytes[22] = 1)), ['net/hash-types-known']],
  [
    {
      name: 'offers what needs the control queue, and has none',
      transport: altered((inner, device) => ({
        readDeviceFeatures: () => {
          const offer = inner.readDeviceFeatures();
          return device.count++ === 0 ? offer : offer.without(17);
        },
      })),
    },
    ['net/hash-report-needs-control', 'net/rx-extra-needs-control'],
  ],
  [config('has the address of a group', (bytes) => (bytes[0] = 0x53)), ['net/mac-of-one-host']],
  [config('has a status that there is not', (bytes) => (bytes[6] = 0x11)), ['net/status-known']],
  [
    {
      name: 'has another address without STATUS',
      transport: altered((inner, device) => ({
        readConfig: (offset, bytes) => {
          inner.readConfig(offset, bytes);
          if (offset === 0 && bytes.length === 6 && device.accepted?.has(16) === false) bytes[5]! ^= 1;
        },
      })),
    },
    ['net/config-with-each-feature'],
  ],
];

/** Devices that do not survive a driver that breaks the rules of networks, and configurations that are wrong. */
export const NET_HOSTILE_BUGS: readonly FoundBug[] = [...FRAME_BUGS, ...BUFFER_BUGS, ...COMMAND_BUGS, ...CONFIG_BUGS];
