import type {
  RingOperation,
  RingOutcome,
  RingVectorConfiguration,
  RingVectorSegment,
} from '@virtio-platform/conformance';

/** What a vector is made from: the operations, some of which depend on the outcome of earlier ones. */
export interface RingVectorScenario {
  readonly description: string;
  readonly configuration: RingVectorConfiguration;
  readonly play: (perform: (operation: RingOperation) => RingOutcome) => void;
}

const SPLIT: RingVectorConfiguration = {
  layout: 'split',
  size: 4,
  byteOrder: 'little',
  eventIdx: false,
  inOrder: false,
  indirect: 0,
  legacyLayout: false,
};
const PACKED: RingVectorConfiguration = { ...SPLIT, layout: 'packed', size: 3 };

const REQUEST: readonly RingVectorSegment[] = [
  { address: '0x1122334455667788', length: 16, writable: false },
  { address: '0x100000000', length: 512, writable: true },
];
const RECEIVE: readonly RingVectorSegment[] = [{ address: '0x0', length: 1514, writable: true }];
const SEND: readonly RingVectorSegment[] = [{ address: '0xfffffffffffff000', length: 60, writable: false }];

type Perform = (operation: RingOperation) => RingOutcome;

/** One request there and back, then each end asks for notifications, then a second request. */
function playSmallest(perform: Perform): void {
  const { id } = perform({ end: 'driver', name: 'add', segments: REQUEST });
  perform({ end: 'driver', name: 'publish' });
  perform({ end: 'device', name: 'pop' });
  perform({ end: 'device', name: 'push', id: id!, written: 384 });
  perform({ end: 'device', name: 'flush' });
  perform({ end: 'driver', name: 'takeUsed', max: 4 });
  perform({ end: 'driver', name: 'enableNotifications' });
  perform({ end: 'device', name: 'enableNotifications' });
  perform({ end: 'driver', name: 'add', segments: RECEIVE });
  perform({ end: 'driver', name: 'publish' });
}

/**
 * Every operation of both ends: batches, completion out of order, silence and asking again, and the wrap of the ring.
 */
function playAll(perform: Perform): void {
  const first = perform({ end: 'driver', name: 'add', segments: REQUEST }).id!;
  perform({ end: 'driver', name: 'publish' });
  const second = perform({ end: 'driver', name: 'add', segments: RECEIVE }).id!;
  perform({ end: 'device', name: 'pop' });
  perform({ end: 'device', name: 'pop' });
  perform({ end: 'device', name: 'push', id: first, written: 512 });
  perform({ end: 'device', name: 'flush' });
  perform({ end: 'driver', name: 'publish' });
  perform({ end: 'driver', name: 'takeUsed', max: 4 });
  perform({ end: 'device', name: 'disableNotifications' });
  const third = perform({ end: 'driver', name: 'add', segments: SEND }).id!;
  perform({ end: 'driver', name: 'publish' });
  perform({ end: 'device', name: 'enableNotifications' });
  perform({ end: 'device', name: 'pop' });
  perform({ end: 'device', name: 'pop' });
  perform({ end: 'device', name: 'enableNotifications' });
  perform({ end: 'driver', name: 'disableNotifications' });
  perform({ end: 'device', name: 'push', id: third, written: 0 });
  perform({ end: 'device', name: 'push', id: second, written: 60 });
  perform({ end: 'device', name: 'flush' });
  perform({ end: 'driver', name: 'enableNotifications' });
  perform({ end: 'driver', name: 'takeUsed', max: 1 });
  perform({ end: 'driver', name: 'takeUsed', max: 4 });
  perform({ end: 'driver', name: 'enableNotifications' });
  playRequests(perform, 3);
}

/** Requests one after the other, each there and back. */
function playRequests(perform: Perform, count: number): void {
  for (let i = 0; i < count; i++) {
    const id = perform({ end: 'driver', name: 'add', segments: i % 2 === 0 ? REQUEST : SEND }).id!;
    perform({ end: 'driver', name: 'publish' });
    perform({ end: 'device', name: 'pop' });
    perform({ end: 'device', name: 'push', id, written: i % 2 === 0 ? 1 : 0 });
    perform({ end: 'device', name: 'flush' });
    perform({ end: 'driver', name: 'takeUsed', max: 4 });
    perform({ end: 'driver', name: 'enableNotifications' });
    perform({ end: 'device', name: 'enableNotifications' });
  }
}

/** Both indices from 65534 over the wrap. */
function playIndexWrap(perform: Perform): void {
  perform({ end: 'both', name: 'roundTrips', count: 65534, segments: SEND, written: 0 });
  playRequests(perform, 3);
}

/**
 * Buffers that come back in order: filled ones with the one behind them in one used entry, others in one of their own.
 */
function playInOrder(perform: Perform): void {
  for (const written of [
    [1514, 1514, 60],
    [0, 1514],
    [1514, 1513, 1514],
  ]) {
    const ids = written.map(() => perform({ end: 'driver', name: 'add', segments: RECEIVE }).id!);
    perform({ end: 'driver', name: 'publish' });
    for (const _ of ids) perform({ end: 'device', name: 'pop' });
    for (const [i, id] of ids.entries()) perform({ end: 'device', name: 'push', id, written: written[i]! });
    perform({ end: 'device', name: 'flush' });
    perform({ end: 'driver', name: 'takeUsed', max: 2 });
    perform({ end: 'driver', name: 'takeUsed', max: 4 });
    perform({ end: 'driver', name: 'enableNotifications' });
  }
}

/** By the name of its file in `vectors`. */
export const RING_VECTOR_SCENARIOS: Readonly<Record<string, RingVectorScenario>> = {
  'split-smallest': {
    description: 'One request of two descriptors on a split queue of two, little-endian, with event indices.',
    configuration: { ...SPLIT, size: 2, eventIdx: true },
    play: playSmallest,
  },
  'split-smallest-big-endian': {
    description: 'The same on the legacy interface of a big-endian guest.',
    configuration: { ...SPLIT, size: 2, eventIdx: true, byteOrder: 'big', legacyLayout: true },
    play: playSmallest,
  },
  'split-flags': {
    description: 'Every operation on a split queue of four that suppresses notifications by flags.',
    configuration: SPLIT,
    play: playAll,
  },
  'split-event-idx': {
    description: 'Every operation on a split queue of four that suppresses notifications by event indices.',
    configuration: { ...SPLIT, eventIdx: true },
    play: playAll,
  },
  'split-indirect': {
    description: 'Every operation on a split queue of four, requests of several segments in indirect tables.',
    configuration: { ...SPLIT, eventIdx: true, indirect: 2 },
    play: playAll,
  },
  'split-in-order': {
    description: 'Buffers that come back in order on a split queue of four, several by one used element.',
    configuration: { ...SPLIT, eventIdx: true, inOrder: true },
    play: playInOrder,
  },
  'split-index-wrap': {
    description: 'The available and used index of a split queue of four from 65534 over the wrap.',
    configuration: { ...SPLIT, eventIdx: true },
    play: playIndexWrap,
  },
  'split-legacy-little-endian': {
    description: 'Every operation on a split queue of the legacy interface in a little-endian guest.',
    configuration: { ...SPLIT, legacyLayout: true },
    play: playAll,
  },
  'split-legacy-big-endian': {
    description:
      'Every operation on a split queue of the legacy interface in a big-endian guest, with indirect tables.',
    configuration: { ...SPLIT, byteOrder: 'big', eventIdx: true, indirect: 2, legacyLayout: true },
    play: playAll,
  },
  'packed-smallest': {
    description: 'One request of two descriptors on a packed queue of two, with event indices.',
    configuration: { ...PACKED, size: 2, eventIdx: true },
    play: playSmallest,
  },
  'packed-flags': {
    description: 'Every operation on a packed queue of three that suppresses notifications by flags.',
    configuration: PACKED,
    play: playAll,
  },
  'packed-event-idx': {
    description: 'Every operation on a packed queue of three that suppresses notifications by event positions.',
    configuration: { ...PACKED, eventIdx: true },
    play: playAll,
  },
  'packed-in-order': {
    description: 'Buffers that come back in order on a packed queue of three, several by one used descriptor.',
    configuration: { ...PACKED, eventIdx: true, inOrder: true },
    play: playInOrder,
  },
  'packed-indirect': {
    description: 'Every operation on a packed queue of three, requests of several segments in indirect tables.',
    configuration: { ...PACKED, eventIdx: true, indirect: 2 },
    play: playAll,
  },
};
