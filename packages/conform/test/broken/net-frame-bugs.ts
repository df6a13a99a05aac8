import { FeatureSet } from '@virtio-platform/core/features';
import { isFromTable } from './ring-bugs.ts';
import type { Bug } from './broken-device.ts';
import { altered } from './register-bugs.ts';
import {
  corrupting,
  losing,
  NET_BITS,
  receiving,
  sending,
  type FoundBug,
  type ReceivedBuffer,
  type SentFrame,
} from './net-device-bug.ts';

const IN_ORDER = 35;
const NEEDS_CSUM = 1;

/** A bug at one ring of a network device. */
function atRing(queue: number, found: Bug, cases: readonly string[]): FoundBug {
  const isIt = (ring: { readonly device: { readonly rings: readonly unknown[] } }): boolean =>
    ring.device.rings[queue] === ring;
  const { shown, taken, returned, idle } = found;
  return [
    {
      name: found.name,
      ...(shown && { shown: (ring, isWanted, slots) => (isIt(ring) ? shown(ring, isWanted, slots) : isWanted) }),
      ...(taken && { taken: (ring, chain) => (isIt(ring) ? taken(ring, chain) : true) }),
      ...(returned && { returned: (ring, head, written) => (isIt(ring) ? returned(ring, head, written) : written) }),
      ...(idle && { idle: (ring) => (isIt(ring) ? idle(ring) : undefined) }),
    } satisfies Bug,
    cases,
  ];
}

/** Puts packets at another place behind their header. */
function headerOf(name: string, cases: readonly string[], isSo: (accepted: FeatureSet) => boolean): FoundBug {
  return receiving(name, cases, (buffer) => {
    if (!isSo(buffer.accepted) || buffer.written <= buffer.header) return buffer.written;
    buffer.write(buffer.header - 2, buffer.bytes.subarray(buffer.header, buffer.written));
    return buffer.written - 2;
  });
}

const isTable = (handled: SentFrame | ReceivedBuffer): boolean =>
  isFromTable(handled.device.rings[handled.queue]!, handled.chain);

/** Loses what a queue gets once it was reset. */
function forgetting(queue: number, name: string, cases: readonly string[]): FoundBug {
  const [bug] = losing(name, cases, ({ device }) => device.count === 1);
  return [
    {
      ...bug,
      transport: altered((inner, device) => ({
        resetQueue: (index) => {
          if (index === queue) device.count = 1;
          inner.resetQueue(index);
        },
      })),
    },
    cases,
  ];
}

/** Bugs with frames that are sent. */
const TRANSMIT_BUGS: readonly FoundBug[] = [
  headerOf('has a header of 18 bytes with HASH_REPORT', ['net/header-of-20'], (accepted) =>
    accepted.has(NET_BITS.hash),
  ),
  headerOf(
    'has a header of 10 bytes with mergeable buffers',
    ['net/header-of-12'],
    (accepted) => !accepted.has(NET_BITS.hash) && accepted.has(NET_BITS.mrgRxbuf),
  ),
  headerOf(
    'has a header of 10 bytes without mergeable buffers',
    ['net/header-without-mergeable-buffers'],
    (accepted) => !accepted.has(NET_BITS.mrgRxbuf),
  ),
  losing('loses frames of 60 bytes', ['net/transmit-shortest'], ({ frame }) => frame.length === 60),
  losing('loses frames of more than 1500 bytes', ['net/transmit-longest'], ({ frame }) => frame.length > 1500),
  losing('loses frames of 101 bytes', ['net/transmit-each-length'], ({ frame }) => frame.length === 101),
  losing('wants more than the header in the first descriptor', ['net/transmit-header-apart'], (frame) => {
    const [first] = frame.lengths('readable');
    return first === frame.header && frame.chain.readable > 1;
  }),
  losing(
    'takes the header of a frame from the first descriptor only',
    ['net/transmit-header-in-two', 'net/transmit-header-in-single-bytes'],
    (frame) => frame.lengths('readable')[0]! < frame.header,
  ),
  losing(
    'wants a frame behind its Ethernet header in the same descriptor',
    ['net/transmit-header-with-ethernet'],
    (frame) => frame.lengths('readable')[0] === frame.header + 14,
  ),
  losing('loses frames with a descriptor of 1 byte in them', ['net/transmit-in-odd-lengths'], (frame) => {
    const lengths = frame.lengths('readable');
    return lengths.length === 5 && lengths[1] === 1;
  }),
  sending('ends in front of a last descriptor of 1 byte', ['net/transmit-last-byte-apart'], (frame) => {
    const isLone = frame.chain.readable > 1 && frame.lengths('readable').at(-1) === 1;
    return isLone ? frame.as(frame.bytes.subarray(0, -1)) : frame.handle();
  }),
  losing(
    'takes at most 64 descriptors of a frame',
    ['net/transmit-in-single-bytes'],
    ({ chain }) => chain.readable > 64,
  ),
  losing('loses frames in tables', ['net/transmit-in-a-table'], isTable),
  atRing(
    1,
    {
      name: 'says that it wrote what it sent',
      returned: (ring, _head, written) => written + (ring.last?.readableBytes ?? 0),
      shown: (ring, isWanted, slots) => {
        if (ring.layout === 'packed')
          for (const slot of slots) ring.memory.u16[(ring.descriptors + 16 * slot + 14) / 2]! |= 2;
        return isWanted;
      },
    },
    ['net/transmit-used-length'],
  ),
  sending('changes the frame that it sent', ['net/transmit-leaves-frame'], (frame) => {
    const written = frame.handle();
    frame.space.memory.u8[frame.chain.low[0]! + 3]! ^= 1;
    return written;
  }),
  losing('loses every 24th frame', ['net/transmit-batch'], ({ device }) => ++device.count % 24 === 0),
  sending('sends a frame as long as the one before it', ['net/transmit-batch-of-lengths'], (frame) => {
    const before = frame.device.count;
    frame.device.count = frame.bytes.length;
    if (before <= 1000 || frame.bytes.length >= before) return frame.handle();
    const longer = new Uint8Array(before);
    longer.set(frame.bytes);
    return frame.as(longer);
  }),
  losing('sends at most 150 frames', ['net/transmit-laps', 'net/receive-laps'], ({ device }) => ++device.count > 150),
  atRing(
    1,
    {
      name: 'returns transmit buffers out of order with IN_ORDER',
      shown: (ring, isWanted, slots) => {
        if (slots.length > 0 && ring.device.accepted?.has(IN_ORDER) === true) ring.change(slots[0]!, 'id', -1);
        return isWanted;
      },
    },
    ['net/transmit-in-order'],
  ),
  atRing(1, { name: 'never notifies of transmit buffers', shown: (ring, isWanted) => isWanted && ring.eventIdx }, [
    'net/transmit-notified',
  ]),
  atRing(1, { name: 'knows no event of its transmit queue', shown: (ring, isWanted) => isWanted && !ring.eventIdx }, [
    'net/transmit-event',
  ]),
  [
    {
      ...sending('', [], (frame) => {
        const received = frame.device.rings[0]?.taken ?? 0;
        if (received === 0 && frame.device.rings[1]!.taken >= 4) frame.device.wedge();
        return frame.handle();
      })[0],
      name: 'hangs after frames for which there was no receive buffer',
    },
    ['net/transmit-without-receive-buffers'],
  ],
  forgetting(1, 'sends nothing after its transmit queue was reset', ['net/transmit-queue-reset']),
  losing('drops frames with an unknown flag', ['net/unknown-flag'], ({ fields }) => (fields.flags & 0x80) !== 0),
  sending('goes by csum_start without NEEDS_CSUM', ['net/checksum-fields-unused'], (frame) => {
    const isInside = frame.fields.checksumStart > 0 && frame.fields.checksumStart < 100;
    return isInside && frame.fields.flags === 0
      ? frame.withFields((fields) => (fields.flags = NEEDS_CSUM))
      : frame.handle();
  }),
  losing(
    'drops frames with a gso_size and no type',
    ['net/segment-size-unused'],
    ({ fields }) => fields.gsoType === 0 && fields.gsoSize > 0,
  ),
  losing(
    'drops frames whose hdr_len is no header',
    ['net/header-length-of-plain-frame'],
    ({ fields }) => fields.gsoType === 0 && fields.headerLength === 13,
  ),
];

/** Bugs with frames that are received. */
const RECEIVE_BUGS: readonly FoundBug[] = [
  corrupting('expects the frame in the descriptor of its header', ['net/receive-header-apart'], (buffer) => {
    const [first] = buffer.lengths('writable');
    return first === buffer.header && buffer.chain.count > 1;
  }),
  corrupting(
    'writes no header over two descriptors',
    ['net/receive-header-in-two'],
    (buffer) => buffer.lengths('writable')[0] === 7,
  ),
  corrupting('writes no header over many descriptors', ['net/receive-header-in-single-bytes'], (buffer) => {
    const lengths = buffer.lengths('writable');
    return lengths[0] === 1 && lengths.length < 40;
  }),
  corrupting('writes wrongly around a descriptor of 1 byte', ['net/receive-in-odd-lengths'], (buffer) => {
    const lengths = buffer.lengths('writable');
    return lengths[0]! > 7 && lengths[1] === 1 && lengths.length > 4;
  }),
  corrupting(
    'writes to at most 50 descriptors',
    ['net/receive-in-single-bytes'],
    (buffer) => buffer.lengths('writable').length > 50,
  ),
  corrupting('writes no last byte into a descriptor of its own', ['net/receive-last-byte-apart'], (buffer) => {
    const lengths = buffer.lengths('writable');
    return lengths.length === 3 && lengths[1] === 1;
  }),
  corrupting('writes wrongly into tables', ['net/receive-in-a-table'], isTable),
  atRing(0, { name: 'says one byte less than it received', returned: (_ring, _head, written) => written - 1 }, [
    'net/receive-used-length',
  ]),
  corrupting(
    'writes wrongly into a buffer that just fits',
    ['net/receive-buffer-that-just-fits'],
    (buffer) => buffer.written === buffer.chain.writableBytes,
  ),
  receiving('says 0 buffers without mergeable ones', ['net/receive-one-buffer-each'], (buffer) =>
    !buffer.accepted.has(NET_BITS.mrgRxbuf) && buffer.written > 0
      ? buffer.withFields((fields) => (fields.buffers = 0))
      : buffer.written,
  ),
  receiving('cuts packets that do not fit their buffer', ['net/receive-without-mergeable-buffers-too-long'], (buffer) =>
    !buffer.accepted.has(NET_BITS.mrgRxbuf) && buffer.written === 0 ? buffer.chain.writableBytes : buffer.written,
  ),
  receiving('says that checksums are right to a driver that does not know it', ['net/receive-no-flags'], (buffer) =>
    !buffer.accepted.has(NET_BITS.guestCsum) && buffer.written > 0
      ? buffer.withFields((fields) => (fields.flags = 2))
      : buffer.written,
  ),
  receiving('says RSC_INFO', ['net/receive-no-flags-of-other-features'], (buffer) =>
    buffer.written > 0 ? buffer.withFields((fields) => (fields.flags |= 4)) : buffer.written,
  ),
  atRing(0, { name: 'loses the 30th receive buffer', taken: (ring) => ring.taken !== 30 }, [
    'net/receive-one-buffer-at-a-time',
  ]),
  atRing(
    0,
    {
      name: 'uses one receive buffer more than it needs',
      shown: (ring, isWanted) => {
        if (ring.taken !== 12) return isWanted;
        if (ring.layout === 'split') ring.setUsedWord(2, ring.usedWord(2) + 1);
        else ring.memory.u16[(ring.descriptors + 16 * 12 + 14) / 2]! |= 0x8080;
        return isWanted;
      },
    },
    ['net/receive-each-buffer-once'],
  ),
  atRing(
    0,
    {
      name: 'uses receive buffers out of order with IN_ORDER',
      shown: (ring, isWanted, slots) => {
        if (slots.length > 0 && ring.taken > 20 && ring.device.accepted?.has(IN_ORDER) === true)
          ring.change(slots[0]!, 'id', -1);
        return isWanted;
      },
    },
    ['net/receive-in-order'],
  ),
  atRing(0, { name: 'never notifies of receive buffers', shown: (ring, isWanted) => isWanted && ring.eventIdx }, [
    'net/receive-notified',
  ]),
  atRing(0, { name: 'always notifies of receive buffers', shown: () => true }, [
    'net/receive-suppressed',
    'net/receive-event-not-reached',
  ]),
  atRing(0, { name: 'knows no event of its receive queue', shown: (ring, isWanted) => isWanted && !ring.eventIdx }, [
    'net/receive-event',
  ]),
  atRing(0, { name: 'takes at most 6 receive buffers', taken: (ring) => ring.taken <= 6 }, [
    'net/receive-late-buffers',
  ]),
  atRing(
    0,
    {
      name: 'takes a receive buffer that was not published',
      idle: (ring) => {
        if (ring.layout === 'split') ring.setUsedWord(2, ring.usedWord(2) + 1);
        const { u16 } = ring.memory;
        for (let slot = 0; ring.layout === 'packed' && slot < ring.size; slot++)
          u16[(ring.descriptors + 16 * slot + 14) / 2] = 0x8080;
      },
    },
    ['net/receive-unpublished'],
  ),
  forgetting(0, 'receives nothing after its receive queue was reset', ['net/receive-queue-reset']),
];

/** Bugs with packets that are spread over buffers. The count of a device is the number of buffers of the packet. */
function merging(
  name: string,
  cases: readonly string[],
  isWrong: (buffer: ReceivedBuffer, kept: number) => boolean,
): FoundBug {
  return receiving(name, cases, (buffer) => {
    const kept = buffer.device.count;
    buffer.device.count = buffer.written < 0 ? kept + 1 : 0;
    return isWrong(buffer, kept) ? buffer.corrupt() : buffer.written;
  });
}

const MERGE_BUGS: readonly FoundBug[] = [
  receiving('says two buffers for each packet', ['net/merge-one'], (buffer) =>
    buffer.written > 0 ? buffer.withFields((fields) => (fields.buffers = 2)) : buffer.written,
  ),
  atRing(
    0,
    {
      name: 'shows the buffers of a packet one by one',
      shown: (ring, isWanted, slots) => {
        if (slots.length < 2) return isWanted;
        if (ring.layout === 'split') ring.setUsedWord(2, ring.usedWord(2) - slots.length + 1);
        else ring.memory.u16[(ring.descriptors + 16 * slots[1]! + 14) / 2]! &= ~0x8000;
        return isWanted;
      },
    },
    ['net/merge-two'],
  ),
  merging('spreads a packet over at most 16 buffers', ['net/merge-many'], (_buffer, kept) => kept > 16),
  receiving('expects some of the frame behind the header', ['net/merge-after-header'], (buffer) => {
    const isLone = buffer.device.count === 1;
    buffer.device.count = buffer.written < 0 && buffer.chain.writableBytes === buffer.header ? 1 : 0;
    return isLone ? buffer.corrupt() : buffer.written;
  }),
  merging(
    'spreads packets over buffers of even lengths only',
    ['net/merge-odd-lengths'],
    (buffer) => buffer.written < 0 && buffer.chain.writableBytes % 2 === 1,
  ),
  merging(
    'expects room behind a packet',
    ['net/merge-exactly-full'],
    (buffer, kept) => kept > 0 && buffer.written === buffer.chain.writableBytes,
  ),
  merging('expects more than one byte', ['net/merge-one-byte-more'], (buffer) => buffer.written === 1),
  merging(
    'spreads packets over buffers of one descriptor only',
    ['net/merge-segmented'],
    (buffer, kept) => kept > 0 && buffer.chain.count === 4 && !isTable(buffer),
  ),
  merging('spreads no packet over tables', ['net/merge-tables'], (buffer, kept) => kept > 0 && isTable(buffer)),
  merging(
    'loses bytes of spread packets with IN_ORDER',
    ['net/merge-in-order'],
    (buffer, kept) => kept > 0 && buffer.accepted.has(IN_ORDER),
  ),
  merging(
    'spreads at most 40 buffers',
    ['net/merge-laps'],
    (buffer, kept) => kept > 0 && (buffer.device.rings[0]?.taken ?? 0) > 40,
  ),
  merging(
    'loses bytes where packets follow each other',
    ['net/merge-batch'],
    (buffer, kept) => kept === 1 && (buffer.device.rings[1]?.taken ?? 0) > 2,
  ),
  atRing(
    0,
    {
      name: 'hangs where there are too few buffers for a packet',
      idle: (ring) => {
        if (ring.taken === 2 && ring.usedWord(ring.layout === 'split' ? 2 : 0) === 0) ring.device.wedge();
      },
    },
    ['net/merge-too-few-buffers'],
  ),
];

/** Bugs with frames of both directions. */
export const NET_FRAME_BUGS: readonly FoundBug[] = [...TRANSMIT_BUGS, ...RECEIVE_BUGS, ...MERGE_BUGS];
