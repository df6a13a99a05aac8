import { EventFd, MemoryMapping, SharedMemory } from '@virtio-platform/host';
import {
  decodeInFlight,
  encodeInFlight,
  encodeU64,
  encodeVringState,
  IN_FLIGHT_PACKED,
  IN_FLIGHT_PACKED_STATE,
  IN_FLIGHT_SPLIT,
  IN_FLIGHT_SPLIT_STATE,
  inFlightQueueBytes,
  type InFlightDescription,
} from '@virtio-platform/vhost-user';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OwnServer, type OwnFrontEnd } from '../own-front-end.ts';

const VERSION_1 = 1n << 32n;
const RING_PACKED = 1n << 34n;
const SIZE = 16;
const BYTES = 4096;
/** Offsets of the ring in memory. */
const RING = [0, 0x1000, 0x2000] as const;
const USED_IDX = RING[2] + 2;
const AVAIL_IDX = RING[1] + 2;

let server: OwnServer;
let frontEnd: OwnFrontEnd;
beforeEach(async () => {
  server = new OwnServer();
  frontEnd = await server.connect();
});
afterEach(async () => {
  frontEnd.dispose();
  await server.end();
});

function give(changes: Partial<InFlightDescription>, ...descriptors: number[]): Promise<bigint | undefined> {
  const description = { size: BigInt(BYTES), offset: 0n, queueCount: 1, queueSize: SIZE, ...changes };
  return frontEnd.tell('SET_INFLIGHT_FD', encodeInFlight(description), descriptors);
}

async function startRing(): Promise<void> {
  await frontEnd.placeRing(SIZE, ...RING);
  await frontEnd.tell('SET_VRING_KICK', encodeU64(0n), [frontEnd.own(new EventFd()).descriptor]);
  await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
}

describe('a record of what is in flight', () => {
  it('is made for the front-end, which keeps it, and is used from the moment at which it is given back', async () => {
    await frontEnd.negotiate(VERSION_1);
    await frontEnd.giveMemory();
    const asked = encodeInFlight({ size: 0n, offset: 0n, queueCount: 1, queueSize: 128 });
    for (const bytes of [asked, asked.subarray(0, 20)]) {
      const answer = (await frontEnd.askFile('GET_INFLIGHT_FD', bytes))!;
      // 16 bytes and 16 of each entry, up to a multiple of 64.
      expect(answer.payload.byteLength).toBe(bytes.length);
      expect(decodeInFlight(answer.payload)).toEqual({ size: 2112n, offset: 0n, queueCount: 1, queueSize: 128 });
      expect(await frontEnd.tell('SET_INFLIGHT_FD', new Uint8Array(answer.payload.buffer), [answer.descriptor])).toBe(
        0n,
      );
      const mapping = frontEnd.own(MemoryMapping.ofFile(answer.descriptor, 2112));
      expect(new DataView(mapping.buffer).getUint16(IN_FLIGHT_SPLIT.version, true)).toBe(0);
    }
    await startRing();
    expect(server.problems).toEqual([]);
    const file = frontEnd.own(SharedMemory.create(BYTES)).descriptor;
    expect(await give({}, file)).toBe(1n);
    expect(server.problems.at(-1)).toMatch(/record of what is in flight while queues are in use/);
  });

  it('that cannot be is refused', async () => {
    await frontEnd.negotiate(VERSION_1);
    const file = frontEnd.own(SharedMemory.create(BYTES)).descriptor;
    const counter = frontEnd.own(new EventFd()).descriptor;
    const wrong: readonly [() => Promise<bigint | undefined>, RegExp][] = [
      [() => give({}), /by no descriptor/],
      [() => give({}, counter), /by a descriptor that is no file that can be written to/],
      [() => give({}, frontEnd.openFile('/proc/self/exe', 'r')), /no file that can be written to/],
      [() => give({ size: 0n }, file), /of 0 bytes from byte 0 of a file of 4096/],
      [() => give({ size: 8192n }, file), /of 8192 bytes from byte 0 of a file of 4096/],
      [() => give({ offset: 8n }, file), /of 4096 bytes from byte 8 of a file/],
      [() => give({ size: 8n, offset: 3n }, file), /from byte 3 of/],
      [() => give({ size: 2n ** 64n - 1n, offset: 2n ** 64n - 1n }, file), /18446744073709551615 bytes/],
      [() => give({ queueCount: 9 }, file), /in 9 queues: the device has 1/],
    ];
    for (const [answer, said] of wrong) {
      expect(await answer()).toBe(1n);
      expect(server.problems.at(-1)).toMatch(said);
    }
    expect(await frontEnd.ask('GET_FEATURES')).toBeGreaterThan(0n);
  });

  for (const [queueCount, queueSize] of [
    [0, 128],
    [2, 128],
    [1, 0],
    [1, 2048],
  ] as const) {
    it(`of ${queueCount} queues of ${queueSize} entries is not made`, async () => {
      await frontEnd.negotiate(VERSION_1);
      frontEnd.send('GET_INFLIGHT_FD', encodeInFlight({ size: 0n, offset: 0n, queueCount, queueSize }));
      await server.untilDisconnected();
      expect(server.problems.at(-1)).toMatch(/asks for a record of .* the device has 1 of at most 1024; the conn/);
    });
  }
});

interface Lie {
  readonly layout: 'split' | 'packed';
  readonly write: (record: DataView, memory: DataView) => void;
  readonly said: RegExp;
  /** Bytes of the record. */
  readonly size?: number;
  /** Entries, as the message says. */
  readonly queueSize?: number;
}

const split = (id: number): number => IN_FLIGHT_SPLIT.states + IN_FLIGHT_SPLIT_STATE.bytes * id;
const packed = (entry: number): number => IN_FLIGHT_PACKED.states + IN_FLIGHT_PACKED_STATE.bytes * entry;
/** A record of this version with so many entries; packed: all of them free. */
function begin(record: DataView, entries = SIZE, version = 1): void {
  record.setUint16(IN_FLIGHT_SPLIT.version, version, true);
  record.setUint16(IN_FLIGHT_SPLIT.entries, entries, true);
}
function beginPacked(record: DataView): void {
  begin(record);
  record.setUint8(IN_FLIGHT_PACKED.usedWrap, 1);
  record.setUint8(IN_FLIGHT_PACKED.oldUsedWrap, 1);
  for (let i = 0; i < SIZE; i++) record.setUint16(packed(i) + IN_FLIGHT_PACKED_STATE.next, i + 1, true);
}
/** Takes entry 0 out of the list of free ones. */
function take(record: DataView, count: number, id: number): void {
  record.setUint16(IN_FLIGHT_PACKED.freeHead, 1, true);
  record.setUint16(IN_FLIGHT_PACKED.oldFreeHead, 1, true);
  record.setUint8(packed(0) + IN_FLIGHT_PACKED_STATE.inFlight, 1);
  record.setUint16(packed(0) + IN_FLIGHT_PACKED_STATE.count, count, true);
  record.setUint16(packed(0) + IN_FLIGHT_PACKED_STATE.id, id, true);
}

const LIES: Readonly<Record<string, Lie>> = {
  'another version': { layout: 'split', write: (record) => begin(record, SIZE, 7), said: /has version 7/ },
  'fewer entries than the queue': { layout: 'split', write: (record) => begin(record, 8), said: /8 entries.*queue 16/ },
  'fewer entries in its message': {
    layout: 'split',
    write: () => {},
    queueSize: 8,
    said: /8 entries, and the queue 16/,
  },
  'fewer bytes than entries': {
    layout: 'split',
    write: () => {},
    size: 64,
    said: /64 bytes, which end before byte 320/,
  },
  'a used index of another ring': {
    layout: 'split',
    write: (record) => {
      begin(record);
      record.setUint16(IN_FLIGHT_SPLIT.usedIdx, 100, true);
    },
    said: /used index 100, and the ring 0/,
  },
  'a batch with a buffer that there is not': {
    layout: 'split',
    write: (record, memory) => {
      begin(record);
      record.setUint16(IN_FLIGHT_SPLIT.lastBatchHead, 40_000, true);
      memory.setUint16(USED_IDX, 1, true);
      memory.setUint16(AVAIL_IDX, 1, true);
    },
    said: /buffer 40000 in a queue of 16/,
  },
  'more buffers than the driver made available': {
    layout: 'split',
    write: (record, memory) => {
      begin(record);
      record.setUint8(split(3), 1);
      record.setUint8(split(4), 1);
      memory.setUint16(AVAIL_IDX, 1, true);
    },
    said: /has 2 buffers, and the ring at most 1/,
  },
  'more entries than its memory': {
    layout: 'packed',
    write: (record) => begin(record, 999),
    said: /999 entries, in me/,
  },
  'a slot that there is not': {
    layout: 'packed',
    write: (record) => {
      beginPacked(record);
      record.setUint16(IN_FLIGHT_PACKED.oldUsedIdx, 99, true);
    },
    said: /slot 99 of 16/,
  },
  'a list of free entries without an end': {
    layout: 'packed',
    write: (record) => {
      beginPacked(record);
      record.setUint16(packed(3) + IN_FLIGHT_PACKED_STATE.next, 2, true);
    },
    said: /entry 2 free twice/,
  },
  'a buffer of free entries': {
    layout: 'packed',
    write: (record) => {
      beginPacked(record);
      take(record, 2, 0);
    },
    said: /entry 1 of 16 in two buffers, or free/,
  },
  'a buffer of no entries': {
    layout: 'packed',
    write: (record) => {
      beginPacked(record);
      take(record, 0, 0);
    },
    said: /buffer 0 of 0 descriptors/,
  },
  'a buffer with an id that there is not': {
    layout: 'packed',
    write: (record) => {
      beginPacked(record);
      take(record, 1, 16);
    },
    said: /buffer 16 of 1 descriptors/,
  },
};

describe('a record that no device wrote', () => {
  for (const [name, { layout, write, said, size = BYTES, queueSize = SIZE }] of Object.entries(LIES)) {
    it(`ends the connection and is named: ${layout}, ${name}`, async () => {
      await frontEnd.negotiate(layout === 'packed' ? VERSION_1 | RING_PACKED : VERSION_1);
      await frontEnd.giveMemory();
      const record = frontEnd.own(SharedMemory.create(BYTES));
      write(new DataView(record.buffer), new DataView(frontEnd.memory!.buffer));
      expect(await give({ size: BigInt(size), queueSize }, record.descriptor)).toBe(0n);
      await startRing().catch(() => {});
      await server.untilDisconnected();
      expect(server.problems.at(-1)).toMatch(/^the front-end gives a record of what is in flight in queue 0/);
      expect(server.problems.at(-1)).toMatch(said);
    });
  }

  it('has room for what a message says at least', () => {
    expect(inFlightQueueBytes('split', SIZE)).toBe(320);
    expect(inFlightQueueBytes('packed', SIZE)).toBe(576);
  });
});
