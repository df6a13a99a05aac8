import {
  answering,
  commanding,
  corrupting,
  losing,
  NET_BITS,
  receiving,
  sending,
  type FoundBug,
  type SentCommand,
  type SentFrame,
} from './net-device-bug.ts';
import type { Bug, BrokenRing } from './broken-device.ts';
import { altered } from './register-bugs.ts';
import { isFromTable } from './ring-bugs.ts';

const OK = 0;
const ERR = 1;
const IN_ORDER = 35;
const NEEDS_CSUM = 1;
/** Classes of commands. */
const RX = 0;
const MAC = 1;
const VLAN = 2;
const ANNOUNCE = 3;
const MQ = 4;
const OFFLOADS = 5;
/** Receive modes. */
const PROMISC = 0;
const ALLMULTI = 1;
const ALLUNI = 2;
const NOMULTI = 3;
const NOUNI = 4;
const NOBCAST = 5;
const UNKNOWN = 0x7e;
const TCP = 6;
const UDP = 17;

const u16 = (bytes: Uint8Array, at = 0): number => bytes[at]! | (bytes[at + 1]! << 8);
const u32 = (bytes: Uint8Array, at = 0): number => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;

/** Whether a frame goes to all hosts, to a group of them, or to one. */
function target(frame: Uint8Array): 'all' | 'group' | 'one' {
  if (frame.subarray(0, 6).every((byte) => byte === 0xff)) return 'all';
  return (frame[0]! & 1) === 1 ? 'group' : 'one';
}

/** Whether a ring is that of the control queue, which is the last of the device. */
function isControl(ring: BrokenRing): boolean {
  return ring.device.rings.indexOf(ring) === 6;
}

/** A bug of the control ring. */
function atControl(name: string, cases: readonly string[], shown: NonNullable<Bug['shown']>): FoundBug {
  return [
    { name, shown: (ring, isWanted, slots) => (isControl(ring) ? shown(ring, isWanted, slots) : isWanted) },
    cases,
  ];
}

/** Answers some command with ERR, by how it is laid out. */
function refusing(name: string, cases: readonly string[], isSo: (command: SentCommand) => boolean): FoundBug {
  return answering(name, cases, ERR, isSo);
}

/** Acknowledges some command without doing it. */
function ignoring(name: string, cases: readonly string[], isSo: (command: SentCommand) => boolean): FoundBug {
  return answering(name, cases, OK, isSo);
}

const isMode = (command: SentCommand, mode: number, value?: number): boolean =>
  command.is(RX, mode) && (value === undefined || command.data[0] === value);
const isTables = (command: SentCommand): boolean => command.is(MAC, 0) && command.data.length >= 8;

/** Does another command as well as some. */
function doingToo(
  name: string,
  cases: readonly string[],
  isSo: (command: SentCommand) => boolean,
  other: readonly [ofClass: number, command: number, data: readonly number[]],
): FoundBug {
  return commanding(name, cases, (command) => {
    const written = command.handle();
    if (isSo(command)) command.order(...other);
    return written;
  });
}

/** Loses frames of a kind once some command was done. */
function losingAfter(
  name: string,
  cases: readonly string[],
  isSo: (command: SentCommand) => boolean,
  isLost: (frame: SentFrame) => boolean,
): FoundBug {
  const commands = commanding(name, cases, (command) => {
    if (isSo(command)) command.device.count = 1;
    return command.handle();
  })[0];
  const frames = losing(name, cases, (frame) => frame.device.count === 1 && isLost(frame))[0];
  return both(name, cases, commands, frames);
}

/** One bug of two: of what the device half does with commands, and with frames. */
function both(name: string, cases: readonly string[], ...bugs: readonly Bug[]): FoundBug {
  const model: Bug['model'] = (inner, device) =>
    bugs.reduce<ReturnType<NonNullable<Bug['model']>>>((changed, bug) => {
      // Each sees what the one before it left.
      const process = changed.process ?? inner.process.bind(inner);
      const layered = Object.create(inner, { process: { value: process } }) as typeof inner;
      return { ...changed, ...bug.model!(layered, device) };
    }, {});
  return [{ name, model }, cases];
}

/** Offloads. */
function unfinished(name: string, kind: 4 | 6, protocol: number): FoundBug {
  return sending(
    `puts in no checksum of ${name}`,
    [`net/checksum-${name}`, `net/checksum-${name}-passed-on`],
    (frame) => {
      const { layers, fields } = frame;
      const isIt = layers.version === kind && layers.protocol === protocol && fields.flags === NEEDS_CSUM;
      return isIt ? frame.withFields((changed) => (changed.flags = 0)) : frame.handle();
    },
  );
}

/** Bytes behind the headers of a frame. */
function data(frame: SentFrame): number {
  return frame.frame.length - frame.layers.payload;
}

/** Bugs with large frames of one kind. */
function largeBugs(name: string, gsoType: number, version: 4 | 6): readonly FoundBug[] {
  const is = (frame: SentFrame): boolean => frame.fields.gsoType === gsoType && frame.layers.version === version;
  return [
    sending(`halves the segments of ${name}`, [`net/${name}-cut`, `net/${name}-passed-on`], (frame) =>
      is(frame) ? frame.withFields((fields) => (fields.gsoSize = fields.gsoSize >> 1)) : frame.handle(),
    ),
    losing(
      `loses packets of ${name} of one segment`,
      [`net/${name}-of-one-segment`],
      (frame) => is(frame) && data(frame) <= frame.fields.gsoSize,
    ),
    losing(
      `relies on hdr_len of packets of ${name}`,
      [`net/${name}-header-length`],
      (frame) => is(frame) && frame.fields.headerLength !== frame.layers.payload,
    ),
  ];
}

const OFFLOAD_BUGS: readonly FoundBug[] = [
  unfinished('udp4', 4, UDP),
  unfinished('tcp4', 4, TCP),
  unfinished('udp6', 6, UDP),
  unfinished('tcp6', 6, TCP),
  sending('puts in checksums of IP only', ['net/checksum-anywhere'], (frame) =>
    frame.fields.flags === NEEDS_CSUM && frame.layers.version === 0
      ? frame.withFields((fields) => (fields.flags = 0))
      : frame.handle(),
  ),
  sending('puts no checksum into the last bytes', ['net/checksum-of-last-bytes'], (frame) => {
    const { flags, checksumStart, checksumOffset } = frame.fields;
    const isLast = checksumStart + checksumOffset + 2 === frame.frame.length;
    return flags === NEEDS_CSUM && isLast ? frame.withFields((fields) => (fields.flags = 0)) : frame.handle();
  }),
  ...largeBugs('tso4', 1, 4),
  ...largeBugs('tso6', 4, 6),
  ...largeBugs('tso4-ecn', 0x81, 4),
  ...largeBugs('uso4', 5, 4),
  ...largeBugs('uso6', 5, 6),
  corrupting(
    'loses bytes of large packets without mergeable buffers',
    ['net/large-into-one-buffer'],
    (buffer) => !buffer.accepted.has(NET_BITS.mrgRxbuf) && buffer.written > 10_000,
  ),
  ignoring(
    'keeps its offloads when they are turned off',
    ['net/offloads-turned-off'],
    (command) => command.is(OFFLOADS) && command.data.every((byte) => byte === 0),
  ),
  ignoring(
    'keeps its offloads when some are turned off',
    ['net/offloads-in-part'],
    (command) => command.is(OFFLOADS) && u32(command.data) === 2,
  ),
  refusing(
    'turns no offload on again',
    ['net/offloads-turned-on-again'],
    (command) => command.is(OFFLOADS) && (command.data[0]! & 0x80) !== 0,
  ),
];

const COMMAND_BUGS: readonly FoundBug[] = [
  refusing('wants class and data apart', ['net/command-whole'], ({ chain }) => chain.readable === 1),
  refusing(
    'wants class and data together',
    ['net/command-class-apart'],
    (command) => command.lengths('readable')[0] === 2 && command.chain.readable === 2,
  ),
  refusing(
    'takes class and number from one descriptor',
    ['net/command-class-from-number'],
    (command) => command.lengths('readable')[0] === 1 && command.chain.readable === 3,
  ),
  refusing(
    'wants the data in descriptors of more than one byte',
    ['net/command-in-odd-lengths'],
    (command) => command.lengths('readable')[0] === 3 && command.lengths('readable')[2] === 1,
  ),
  refusing(
    'takes at most 8 descriptors of a command',
    ['net/command-in-single-bytes'],
    ({ chain }) => chain.readable > 8,
  ),
  refusing('refuses commands in tables', ['net/command-in-a-table'], ({ device, queue, chain }) =>
    isFromTable(device.rings[queue]!, chain),
  ),
  commanding('says 2 bytes of an acknowledgement', ['net/command-used-length'], (command) => command.handle() + 1),
  commanding('writes the acknowledgement into the last byte', ['net/command-acknowledged-in-front'], (command) => {
    const { chain, space } = command;
    const last = chain.count - 1;
    command.handle();
    if (chain.writableBytes === 1) return 1;
    space.memory.u8[chain.low[chain.readable]!] = 0xaa;
    space.memory.u8[chain.low[last]! + chain.length[last]! - 1] = OK;
    return chain.writableBytes;
  }),
  refusing('does 7 commands of a batch', ['net/command-batch'], ({ device }) => ++device.count % 8 === 0),
  refusing('does at most 60 commands', ['net/command-laps'], ({ device }) => ++device.count > 60),
  atControl('returns commands out of order with IN_ORDER', ['net/command-in-order'], (ring, isWanted, slots) => {
    if (slots.length > 0 && ring.device.accepted?.has(IN_ORDER) === true) ring.change(slots[0]!, 'id', -1);
    return isWanted;
  }),
  atControl('never notifies of commands', ['net/command-notified'], (ring, isWanted) => isWanted && ring.eventIdx),
  atControl(
    'knows no event of its control queue',
    ['net/command-event'],
    (ring, isWanted) => isWanted && !ring.eventIdx,
  ),
  refusing(
    'does no command once 6 frames came',
    ['net/command-among-frames'],
    ({ device }) => (device.rings[0]?.taken ?? 0) > 6,
  ),
  ignoring(
    'acknowledges classes that there are not',
    ['net/command-of-no-class'],
    (command) => command.class > OFFLOADS,
  ),
  ...(
    [
      ['rx', RX],
      ['mac', MAC],
      ['vlan', VLAN],
      ['announce', ANNOUNCE],
      ['mq', MQ],
      ['offloads', OFFLOADS],
    ] as const
  ).map(([name, ofClass]) =>
    ignoring(`acknowledges unknown commands of ${name}`, [`net/command-unknown-of-${name}`], (command) =>
      command.is(ofClass, UNKNOWN),
    ),
  ),
  ...(
    [
      ['promiscuous', PROMISC],
      ['all-multicast', ALLMULTI],
      ['all-unicast', ALLUNI],
      ['no-multicast', NOMULTI],
      ['no-unicast', NOUNI],
      ['no-broadcast', NOBCAST],
    ] as const
  ).map(([name, mode]) =>
    refusing(`does not turn ${name} off`, [`net/mode-${name}`], (command) => isMode(command, mode, 0)),
  ),
  ignoring('keeps its address in the configuration', ['net/mac-in-configuration'], (command) => command.is(MAC, 1)),
  refusing(
    'takes at most 32 addresses',
    ['net/tables-of-all-lengths'],
    (command) => isTables(command) && command.data.length > 32 * 6,
  ),
  refusing(
    'takes VLANs up to 4094',
    ['net/vlans-of-all-numbers'],
    (command) => command.is(VLAN) && u16(command.data) === 4095,
  ),
  [
    {
      name: 'asks for an announcement for ever',
      transport: altered((inner) => ({
        readConfig: (offset, bytes) => {
          inner.readConfig(offset, bytes);
          if (offset === 6) bytes[0]! |= 2;
        },
      })),
    },
    ['net/announce-acknowledged'],
  ],
];

const isPromiscuousOff = (command: SentCommand): boolean => isMode(command, PROMISC, 0);

/** A table of addresses, as bytes of a command. */
function tables(unicasts: Uint8Array, multicasts: Uint8Array): number[] {
  return [unicasts.length / 6, 0, 0, 0, ...unicasts, multicasts.length / 6, 0, 0, 0, ...multicasts];
}

/** Does another command of tables in the place of that of the driver. */
function otherTables(
  name: string,
  cases: readonly string[],
  change: (unicasts: Uint8Array, multicasts: Uint8Array) => number[],
): FoundBug {
  return commanding(name, cases, (command) => {
    if (!isTables(command)) return command.handle();
    const unicasts = 6 * u32(command.data);
    const first = command.data.subarray(4, 4 + unicasts);
    return command.as(Uint8Array.of(MAC, 0, ...change(first, command.data.subarray(8 + unicasts))));
  });
}

/** Keeps its table over a reset. */
function keepsTable(): FoundBug {
  const cases = ['net/table-empty-after-reset'];
  let saved: number[] = [];
  return commanding('keeps its table of addresses over a reset', cases, (command) => {
    if (isTables(command)) saved = [...command.data];
    const written = command.handle();
    if (isPromiscuousOff(command) && saved.length > 0) command.order(MAC, 0, saved);
    return written;
  });
}

const FILTER_BUGS: readonly FoundBug[] = [
  losing('receives no groups', ['net/promiscuous-receives-all'], ({ frame }) => target(frame) === 'group'),
  losingAfter(
    'receives nothing to its own address once it filters',
    ['net/own-address-received'],
    isPromiscuousOff,
    ({ frame }) => target(frame) === 'one',
  ),
  losingAfter(
    'receives no broadcasts once it filters',
    ['net/broadcast-received'],
    isPromiscuousOff,
    ({ frame }) => target(frame) === 'all',
  ),
  ignoring('stays promiscuous', ['net/other-address-dropped'], isPromiscuousOff),
  doingToo('receives all groups for ever', ['net/group-dropped'], isPromiscuousOff, [RX, ALLMULTI, [1]]),
  ignoring('has no all-multicast mode', ['net/all-multicast-received'], (command) => isMode(command, ALLMULTI)),
  ignoring('stays in all-multicast mode', ['net/all-multicast-off'], (command) => isMode(command, ALLMULTI, 0)),
  ignoring('has no all-unicast mode', ['net/all-unicast-received'], (command) => isMode(command, ALLUNI)),
  ignoring('suppresses no multicast', ['net/no-multicast-drops'], (command) => isMode(command, NOMULTI)),
  doingToo(
    'takes broadcasts for multicast',
    ['net/no-multicast-keeps-broadcast'],
    (command) => isMode(command, NOMULTI),
    [RX, NOBCAST, [1]],
  ),
  ignoring('suppresses no unicast', ['net/no-unicast-drops'], (command) => isMode(command, NOUNI)),
  ignoring('suppresses no broadcasts', ['net/no-broadcast-drops'], (command) => isMode(command, NOBCAST)),
  losingAfter(
    'suppresses broadcasts in promiscuous mode',
    ['net/promiscuous-comes-first'],
    (command) => isMode(command, NOBCAST),
    ({ frame }) => target(frame) === 'all',
  ),
  otherTables('takes one host into its table', ['net/table-of-hosts'], (unicasts, multicasts) =>
    tables(unicasts.subarray(0, 6), multicasts),
  ),
  otherTables('takes no groups into its table', ['net/table-of-groups'], (unicasts) =>
    tables(unicasts, new Uint8Array(0)),
  ),
  ignoring(
    'keeps its table where it is to be empty',
    ['net/table-replaced'],
    (command) => isTables(command) && command.data.length === 8,
  ),
  otherTables('takes 32 hosts into its table', ['net/table-of-60'], (unicasts, multicasts) =>
    tables(unicasts.subarray(0, 32 * 6), multicasts),
  ),
  keepsTable(),
  ignoring('keeps its address', ['net/new-address-received'], (command) => command.is(MAC, 1)),
  losingAfter(
    'receives nothing without a tag once it has a VLAN',
    ['net/untagged-received'],
    (command) => command.is(VLAN, 0),
    ({ layers }) => layers.vlan < 0,
  ),
  ignoring('adds no VLANs', ['net/vlan-received'], (command) => command.is(VLAN, 0)),
  commanding('adds the VLAN before it too', ['net/vlan-dropped'], (command) => {
    const written = command.handle();
    if (command.is(VLAN, 0)) command.order(VLAN, 0, [command.data[0]! - 1, command.data[1]!]);
    return written;
  }),
  ignoring('removes no VLANs', ['net/vlan-removed'], (command) => command.is(VLAN, 1)),
  doingToo('goes by the VLAN alone', ['net/vlan-of-other-host-dropped'], (command) => command.is(VLAN, 0), [
    RX,
    ALLUNI,
    [1],
  ]),
  losing(
    'loses tagged frames without CTRL_VLAN',
    ['net/vlan-without-filter'],
    ({ layers, accepted }) => layers.vlan >= 0 && !accepted.has(NET_BITS.vlan),
  ),
];

/** The data of a command for scaling to one pair. */
function scalingTo(pair: number): number[] {
  return [0, 0, 0, 0, 0, 0, pair, 0, pair, 0, 3, 0, 0];
}

const isPairs = (command: SentCommand, pairs?: number): boolean =>
  command.is(MQ, 0) && (pairs === undefined || u16(command.data) === pairs);
const isScaling = (command: SentCommand): boolean => command.is(MQ, 1) && command.data.length > 12;

/** Scales to the second pair with the first frame after a start; `isSo` says whether. */
function strayPair(name: string, cases: readonly string[], isSo: (frame: SentFrame) => boolean): FoundBug {
  return sending(name, cases, (frame) => {
    if ((frame.device.rings[1]?.taken ?? 0) === 1 && isSo(frame)) frame.order(MQ, 1, scalingTo(1));
    return frame.handle();
  });
}

/** Uses all pairs after a reset that followed a command for them. */
function keepsPairs(): FoundBug {
  const name = 'keeps its pairs over a reset';
  const cases = ['net/pairs-reset-ends-it'];
  const commands = commanding(name, cases, (command) => {
    if (isPairs(command)) command.device.count = 1;
    return command.handle();
  })[0];
  return both(name, cases, commands, strayPair(name, cases, ({ device, pair }) => device.count === 1 && pair === 0)[0]);
}

function refusedPairs(id: string, pairs: number): FoundBug {
  return ignoring(`acknowledges ${pairs} pairs`, [`net/pairs-${id}`], (command) => isPairs(command, pairs));
}

const PAIR_BUGS: readonly FoundBug[] = [
  strayPair(
    'receives on its second pair from the start',
    ['net/pairs-first-only-at-first'],
    ({ device }) => device.rings[2] !== undefined,
  ),
  [
    {
      name: 'sends on its first pair only',
      taken: (ring) => ring.device.rings.indexOf(ring) !== 3,
    },
    ['net/pairs-each-sends'],
  ],
  doingToo('receives all flows on its first pair', ['net/pairs-flows-come-back'], isPairs, [MQ, 1, scalingTo(0)]),
  losing(
    'loses frames of its last pair',
    ['net/pairs-at-once'],
    ({ pair, device }) => pair === 2 && device.rings[5]!.taken === 2,
  ),
  doingToo('goes on with its second pair', ['net/pairs-fewer-again'], (command) => isPairs(command, 1), [
    MQ,
    1,
    scalingTo(1),
  ]),
  keepsPairs(),
  refusing('takes only one or all of its pairs', ['net/pairs-each-number'], (command) => isPairs(command, 2)),
  refusedPairs('none', 0),
  refusedPairs('one-too-many', 4),
  refusedPairs('far-too-many', 0x8001),
  commanding('puts all flows on one pair', ['net/scaling-by-table'], (command) => {
    if (!isScaling(command)) return command.handle();
    const bytes = command.bytes.slice();
    bytes.fill(0, 10, 10 + 2 * (u16(command.data, 4) + 1));
    return command.as(bytes);
  }),
  commanding('puts frames without a hash on its first pair', ['net/scaling-unclassified'], (command) => {
    if (!isScaling(command)) return command.handle();
    return command.as(command.bytes.slice().fill(0, 8, 10));
  }),
  refusing(
    'takes tables of up to 64 entries',
    ['net/scaling-longest-table'],
    (command) => isScaling(command) && u16(command.data, 4) >= 64,
  ),
  ignoring('goes on scaling', ['net/scaling-ends'], (command) => isPairs(command, 1)),
];

/** A hash of one kind that is wrong. */
function hashBug(name: string, report: number): FoundBug {
  return receiving(`has wrong hashes of ${name}`, [`net/hash-${name}`], (buffer) =>
    buffer.written > 0 && buffer.fields.hashReport === report
      ? buffer.withFields((fields) => (fields.hashValue = (fields.hashValue ^ 1) >>> 0))
      : buffer.written,
  );
}

const isHash = (command: SentCommand): boolean => command.is(MQ, 2) && command.data.length >= 13;

/** Reports hashes again after a reset. */
function keepsHash(): FoundBug {
  const name = 'reports hashes after a reset';
  const cases = ['net/hash-none-after-reset'];
  let saved: number[] = [];
  const commands = commanding(name, cases, (command) => {
    if (isHash(command)) saved = [...command.data];
    return command.handle();
  })[0];
  const frames = sending(name, cases, (frame) => {
    if (saved.length > 0) frame.order(MQ, 2, saved);
    return frame.handle();
  })[0];
  return both(name, cases, commands, frames);
}

/** Reports a hash of frames that have none. */
function reporting(name: string, cases: readonly string[], isSo: (count: number) => boolean): FoundBug {
  const commands = commanding(name, cases, (command) => {
    if (isHash(command)) command.device.count = u32(command.data) === 0 ? 2 : 1;
    return command.handle();
  })[0];
  const buffers = receiving(name, cases, (buffer) =>
    buffer.written > 0 && buffer.fields.hashReport === 0 && isSo(buffer.device.count)
      ? buffer.withFields((fields) => (fields.hashReport = 1))
      : buffer.written,
  )[0];
  return both(name, cases, commands, buffers);
}

const HASH_BUGS: readonly FoundBug[] = [
  hashBug('ipv4', 1),
  hashBug('tcp4', 2),
  hashBug('udp4', 3),
  hashBug('ipv6', 4),
  hashBug('tcp6', 5),
  hashBug('udp6', 6),
  reporting('reports hashes from the start', ['net/hash-none-at-first'], (count) => count === 0),
  reporting('reports hashes of all frames', ['net/hash-none-of-other-frames'], (count) => count === 1),
  reporting('goes on to report hashes', ['net/hash-off-again'], (count) => count === 2),
  commanding('prefers the hash of addresses', ['net/hash-of-ports-first'], (command) => {
    if (!isHash(command) || (command.data[0]! & 3) !== 3) return command.handle();
    const bytes = command.bytes.slice();
    bytes[2] = 1;
    return command.as(bytes);
  }),
  ignoring(
    'keeps its first key',
    ['net/hash-with-another-key'],
    (command) => isHash(command) && command.device.count++ > 0,
  ),
  keepsHash(),
];

/** Bugs with commands, and with what they change. */
export const NET_COMMAND_BUGS: readonly FoundBug[] = [
  ...OFFLOAD_BUGS,
  ...COMMAND_BUGS,
  ...FILTER_BUGS,
  ...PAIR_BUGS,
  ...HASH_BUGS,
];
