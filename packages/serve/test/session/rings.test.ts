import { readSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { FeatureSet } from '@virtio-platform/core/features';
import { EventFd, KickPipe, SharedMemory } from '@virtio-platform/host';
import {
  BACK_END_REQUESTS,
  encodeIotlbMessage,
  encodeRegion,
  encodeU64,
  encodeVringState,
  HEADER_BYTES,
  IOTLB_READ_WRITE,
  IotlbMessageType,
  MessageHeader,
  protocolFeatures,
  type RequestName,
} from '@virtio-platform/vhost-user';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GUEST_ADDRESS, MEMORY_BYTES, OwnServer, until, USER_ADDRESS, type OwnFrontEnd } from '../own-front-end.ts';

const VERSION_1 = 1n << 32n;
const ACCESS_PLATFORM = 1n << 33n;
const RING_PACKED = 1n << 34n;
const EVENT_IDX = 1n << 29n;
const SIZE = 16;
/** Offsets in memory: the ring, and the parts of one read request of 512 bytes. */
const [DESCRIPTORS, DRIVER, DEVICE] = [0, 0x1000, 0x2000];
const [HEADER, DATA, STATUS] = [0x3000, 0x4000, 0x5000];
const MOVED = 0x6000;
/** Twice as long as strict lets pass between two looks. */
const LOOKS_MS = 500;
const SECTOR = 512;
const [NEXT, WRITE] = [1, 2];
/** Of a packed descriptor: where its flags are, and those of one that was used with wrap counter 1. */
const [FLAGS, USED_BEFORE] = [14, 0x8080];
const WRITE_REQUEST = 1;

let server: OwnServer;
let frontEnd: OwnFrontEnd;
let call: EventFd;
let kick: KickPipe;
beforeEach(async () => {
  server = new OwnServer();
  frontEnd = await server.connect();
});
afterEach(async () => {
  frontEnd.dispose();
  await server.end();
});

async function start(features: bigint, base: number): Promise<void> {
  await frontEnd.negotiate(features);
  await frontEnd.giveMemory();
  await startRing(base);
}

async function startRing(base: number): Promise<void> {
  await frontEnd.placeRing(SIZE, DESCRIPTORS, DRIVER, DEVICE, base);
  call = frontEnd.own(new EventFd());
  kick = frontEnd.own(new KickPipe());
  await frontEnd.tell('SET_VRING_CALL', encodeU64(0n), [call.descriptor]);
  await frontEnd.tell('SET_VRING_KICK', encodeU64(0n), [kick.descriptor]);
  kick.closeReadEnd();
  await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
}

function memory(): { readonly view: DataView; readonly bytes: Uint8Array } {
  const { buffer } = frontEnd.memory!;
  return { view: new DataView(buffer), bytes: new Uint8Array(buffer) };
}

/** Makes a request in the first three descriptors of a split ring, and makes it available as number `index`. */
function makeAvailable(index: number, type: 0 | 1, flags: number): void {
  const { view, bytes } = memory();
  bytes.fill(0, HEADER, HEADER + 16);
  view.setUint32(HEADER, type, true);
  view.setUint8(STATUS, 0xff);
  [
    [HEADER, 16, NEXT],
    [DATA, SECTOR, NEXT | flags],
    [STATUS, 1, WRITE],
  ].forEach(([at, length, flag], i) => {
    view.setBigUint64(DESCRIPTORS + 16 * i, BigInt(GUEST_ADDRESS + at!), true);
    view.setUint32(DESCRIPTORS + 16 * i + 8, length!, true);
    view.setUint16(DESCRIPTORS + 16 * i + 12, flag!, true);
    view.setUint16(DESCRIPTORS + 16 * i + 14, i + 1, true);
  });
  view.setUint16(DRIVER + 4 + 2 * (index % SIZE), 0, true);
  view.setUint16(DRIVER + 2, index + 1, true);
}

/** What a front-end accepts, and asks to be acknowledged with the same message. */
const ACKNOWLEDGED = protocolFeatures('REPLY_ACK', 'CONFIG', 'BACKEND_REQ');
const used = (): number => memory().view.getUint16(DEVICE + 2, true);
const kinds = (): string[] => server.events.map(({ kind }) => kind);

describe('a front-end as User Mode Linux has it', () => {
  it('has the message acknowledged with which it accepts acknowledgements', async () => {
    expect(await frontEnd.tell('SET_PROTOCOL_FEATURES', encodeU64(ACKNOWLEDGED))).toBe(0n);
  });

  it('hears through a pipe that the configuration changed', async () => {
    await server.end();
    server = new OwnServer({ misbehaves: { configChanges: { nth: [1] } } });
    frontEnd = await server.connect();
    const pipe = frontEnd.openPipe();
    await start(VERSION_1, 0);
    expect(await frontEnd.tell('SET_BACKEND_REQ_FD', undefined, [pipe])).toBe(0n);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    const message = new MessageHeader();
    expect(readSync(pipe, message.bytes)).toBe(HEADER_BYTES);
    expect([message.request, message.isRequest, message.size]).toEqual([BACK_END_REQUESTS.CONFIG_CHANGE_MSG, true, 0]);
  });
});

describe('a split ring that a front-end sets up', () => {
  it('is served after a kick, and its driver is notified', async () => {
    await start(VERSION_1, 0);
    memory().bytes.fill(7, DATA, DATA + SECTOR);
    makeAvailable(0, WRITE_REQUEST, 0);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    expect(memory().view.getUint8(STATUS)).toBe(0);
    expect(call.drain()).toBe(1);
    memory().bytes.fill(0, DATA, DATA + SECTOR);
    makeAvailable(1, 0, WRITE);
    kick.signal();
    await until(() => used() === 2, 'another one');
    expect(memory().bytes.slice(DATA, DATA + SECTOR)).toEqual(new Uint8Array(SECTOR).fill(7));
  });

  it('is stopped at its position, is left alone then, and goes on there', async () => {
    await start(VERSION_1, 0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    expect(await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0))).toBe(1n << 32n);
    makeAvailable(1, 0, WRITE);
    kick.signal();
    await frontEnd.ask('GET_FEATURES');
    expect(used()).toBe(1);
    await startRing(1);
    await until(() => used() === 2, 'the buffer that came meanwhile');
    expect(server.problems).toEqual([]);
  });

  it('notifies the driver of a ring that goes on: the back-end before may have died before it did', async () => {
    await start(VERSION_1, 0);
    expect(call.drain()).toBe(0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0));
    await startRing(1);
    await until(() => call.drain() === 1, 'a notification');
  });

  it('has its driver notified as soon as that can be', async () => {
    await start(VERSION_1, 0);
    await frontEnd.tell('SET_VRING_CALL', encodeU64(0x100n));
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    await frontEnd.tell('SET_VRING_CALL', encodeU64(0n), [call.descriptor]);
    expect(call.drain()).toBe(1);
  });

  it('goes on at its used index where the front-end says another, and says so', async () => {
    await start(VERSION_1, 5);
    expect(server.problems).toEqual([
      'the front-end starts queue 0 at 5, but its used index is 0: the device goes on at 0',
    ]);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
  });

  it('is served without a descriptor for notifications, by looking', async () => {
    await frontEnd.negotiate(VERSION_1);
    await frontEnd.giveMemory();
    await frontEnd.placeRing(SIZE, DESCRIPTORS, DRIVER, DEVICE);
    await frontEnd.tell('SET_VRING_KICK', encodeU64(0x100n));
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
    makeAvailable(0, 0, WRITE);
    await until(() => used() === 1, 'a used buffer');
    expect(memory().view.getUint8(STATUS)).toBe(0);
  });

  it('notifies by a call descriptor that comes after the buffer was used', async () => {
    await start(VERSION_1, 0);
    const early = frontEnd.own(new EventFd());
    await frontEnd.tell('SET_VRING_CALL', encodeU64(0n), [early.descriptor]);
    await frontEnd.ask('GET_FEATURES');
    expect(early.drain()).toBe(0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    const late = frontEnd.own(new EventFd());
    await frontEnd.tell('SET_VRING_CALL', encodeU64(0n), [late.descriptor]);
    await until(() => late.drain() > 0, 'a notification');
  });

  it('is looked at when it gets another descriptor to be notified by', async () => {
    await start(VERSION_1, 0);
    await frontEnd.ask('GET_FEATURES');
    makeAvailable(0, 0, WRITE);
    const late = frontEnd.own(new KickPipe());
    await frontEnd.tell('SET_VRING_KICK', encodeU64(0n), [late.descriptor]);
    late.closeReadEnd();
    await until(() => used() === 1, 'a used buffer');
    expect(memory().view.getUint8(STATUS)).toBe(0);
  });

  it('is left alone while it is disabled, and after a reset', async () => {
    await start(VERSION_1, 0);
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 0));
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await frontEnd.ask('GET_FEATURES');
    expect(used()).toBe(0);
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
    await until(() => used() === 1, 'a used buffer');
    await frontEnd.tell('RESET_DEVICE');
    makeAvailable(1, 0, WRITE);
    kick.signal();
    await frontEnd.ask('GET_FEATURES');
    expect(used()).toBe(1);
    expect(kinds().slice(-2)).toEqual(['queue-stopped', 'reset']);
  });

  it('is set up anew once it is disabled, also with other features, as User Mode Linux does', async () => {
    await start(VERSION_1 | EVENT_IDX, 0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 0));
    memory().bytes.fill(0);
    await frontEnd.negotiate(VERSION_1);
    await startRing(0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    expect(server.problems).toEqual([]);
    expect(kinds().filter((kind) => kind.startsWith('queue-'))).toEqual([
      'queue-started',
      'queue-stopped',
      'queue-started',
    ]);
  });

  it('goes on where it stopped, where it is moved while it is disabled', async () => {
    await start(VERSION_1, 0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 0));
    const { bytes } = memory();
    bytes.copyWithin(MOVED, DEVICE, DEVICE + 6 + 8 * SIZE);
    await frontEnd.placeRing(SIZE, DESCRIPTORS, DRIVER, MOVED, 1);
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
    makeAvailable(1, 0, WRITE);
    kick.signal();
    await until(() => memory().view.getUint16(MOVED + 2, true) === 2, 'a used buffer');
    expect([used(), server.problems]).toEqual([1, []]);
  });

  it('is not looked at while it is disabled: its driver may use the memory', async () => {
    await server.end();
    server = new OwnServer({ strict: 'warn' });
    frontEnd = await server.connect();
    await start(VERSION_1, 0);
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 0));
    memory().bytes.fill(0xff, DRIVER, DRIVER + 64);
    await setTimeout(LOOKS_MS);
    expect(server.events.filter(({ kind }) => kind === 'finding')).toEqual([]);
    await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
    await until(() => kinds().includes('finding'), 'a finding');
  });

  it('is named and reported where its driver breaks it, and works after another set-up', async () => {
    await start(VERSION_1, 0);
    const error = frontEnd.own(new EventFd());
    await frontEnd.tell('SET_VRING_ERR', encodeU64(0n), [error.descriptor]);
    memory().view.setUint16(DRIVER + 4, SIZE + 1, true);
    memory().view.setUint16(DRIVER + 2, 1, true);
    kick.signal();
    await until(() => server.problems.length > 0, 'a problem');
    expect(server.problems[0]).toMatch(/^the driver queue 0: descriptor-index-out-of-range/);
    expect(error.drain()).toBe(1);
    kick.signal();
    await frontEnd.ask('GET_FEATURES');
    expect(server.problems).toHaveLength(1);
    expect(await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0))).toBe(0n);
    memory().view.setUint16(DRIVER + 2, 0, true);
    await startRing(0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
  });

  it('has a buffer outside of memory: the access is named, and the request fails', async () => {
    await start(VERSION_1, 0);
    makeAvailable(0, 0, WRITE);
    memory().view.setBigUint64(DESCRIPTORS + 16, 0x9999_0000n, true);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    expect(memory().view.getUint8(STATUS)).not.toBe(0);
    expect(server.problems).toEqual(['the driver write of 512 bytes at 0x99990000: unmapped']);
  });

  it('reaches memory that is plugged in while it is in use, and none that was taken out again', async () => {
    await start(VERSION_1, 0);
    const plugged = frontEnd.own(SharedMemory.create(8192));
    const at = 0x9999_0000;
    const region = encodeRegion({ guestAddress: BigInt(at), size: 8192, userAddress: 0x6000_0000_0000n, offset: 0 });
    const read = async (index: number): Promise<number> => {
      new Uint8Array(plugged.buffer).fill(0xaa);
      makeAvailable(index, 0, WRITE);
      memory().view.setBigUint64(DESCRIPTORS + 16, BigInt(at) + 4000n, true);
      kick.signal();
      await until(() => used() === index + 1, 'a used buffer');
      return memory().view.getUint8(STATUS);
    };
    expect(await read(0)).not.toBe(0);
    expect(await frontEnd.tell('ADD_MEM_REG', region, [plugged.descriptor])).toBe(0n);
    expect(await read(1)).toBe(0);
    // A sector of zeros, across a page.
    const bytes = new Uint8Array(plugged.buffer);
    expect(bytes.subarray(4000, 4000 + SECTOR).every((byte) => byte === 0)).toBe(true);
    expect([bytes[3999], bytes[4000 + SECTOR]]).toEqual([0xaa, 0xaa]);
    expect(await frontEnd.tell('REM_MEM_REG', region)).toBe(0n);
    expect(await read(2)).not.toBe(0);
    expect(bytes.every((byte) => byte === 0xaa)).toBe(true);
  });
});

/** Has the device reach all of memory, at the addresses that rings and buffers are given by. */
async function translate(): Promise<void> {
  for (const address of [USER_ADDRESS, BigInt(GUEST_ADDRESS)]) {
    const [low, high] = [Number(address & 0xffff_ffffn), Number(address >> 32n)];
    const update = { type: IotlbMessageType.Update, low, high, size: MEMORY_BYTES, userAddress: USER_ADDRESS };
    const message = encodeIotlbMessage({ ...update, permission: IOTLB_READ_WRITE });
    expect(await frontEnd.tell('IOTLB_MSG', message)).toBe(0n);
  }
}

describe('a ring behind an IOMMU', () => {
  it('is not reached by what was translated before all rings stopped: it may be invalid since', async () => {
    frontEnd.dispose();
    await server.end();
    server = new OwnServer({ offers: new FeatureSet(VERSION_1 | ACCESS_PLATFORM) });
    frontEnd = await server.connect();
    await frontEnd.negotiate(VERSION_1 | ACCESS_PLATFORM);
    await frontEnd.giveMemory();
    await translate();
    await startRing(0);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    expect(server.problems).toEqual([]);
    expect(await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0))).toBe(1n << 32n);
    makeAvailable(1, 0, WRITE);
    await startRing(1);
    await until(() => server.problems.length > 0, 'a problem');
    expect(server.problems.at(-1)).toMatch(/ring-unreachable/);
    expect(used()).toBe(1);
    await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0));
    await translate();
    await startRing(1);
    await until(() => used() === 2, 'the buffer that waits');
  });
});

describe('a packed ring that a front-end sets up', () => {
  it('begins where the front-end says, also one that leaves the upper half 0', async () => {
    for (const base of [0x8000_8000, 0x8000, 0x8003_8003]) {
      await start(VERSION_1 | RING_PACKED, base);
      expect(server.events.findLast(({ kind }) => kind === 'queue-started')).toMatchObject({
        layout: 'packed',
        position: base & 0xffff,
      });
      expect(await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0))).toBe(
        (BigInt(((base & 0xffff) << 16) | (base & 0xffff)) << 32n) & 0xffff_ffff_0000_0000n,
      );
      frontEnd.dispose();
      await server.untilDisconnected();
      frontEnd = await server.connect();
    }
    expect(server.problems).toEqual([]);
  });

  it('has its driver notified where it goes on', async () => {
    for (const [base, count] of [
      [0x8000_8000, 0],
      [0x8003_8003, 1],
      [0, 1],
    ] as const) {
      await frontEnd.negotiate(VERSION_1 | RING_PACKED);
      await frontEnd.giveMemory();
      memory().view.setUint16(DESCRIPTORS + FLAGS, USED_BEFORE, true);
      await startRing(base);
      await frontEnd.ask('GET_FEATURES');
      expect(call.drain()).toBe(count);
      frontEnd.dispose();
      await server.untilDisconnected();
      frontEnd = await server.connect();
    }
  });

  it('begins with wrap counter 1 where the front-end says 0, and no descriptor was ever used', async () => {
    await start(VERSION_1 | RING_PACKED, 0);
    expect(server.problems).toEqual([
      'the front-end starts queue 0 with wrap counter 0, but no descriptor was ever used: the device begins with 1',
    ]);
    expect(server.events.at(-1)).toMatchObject({ kind: 'queue-started', position: 0x8000 });
    expect(call.drain()).toBe(0);
  });

  it('that has buffers in flight of another back-end is not served', async () => {
    await start(VERSION_1 | RING_PACKED, 0x8003_8005).catch(() => {});
    await server.untilDisconnected();
    expect(server.problems.at(-1)).toMatch(
      /with buffers in flight from 32771 on, of which this back-end does not know/,
    );
  });
});

describe('a device that misbehaves on purpose', () => {
  it.each([
    ['late', { late: { every: 1, by: 1 } }],
    ['reordered', { reordered: { every: 1 } }],
    ['short', { short: { every: 1 } }],
    ['lies', { lies: { every: 1 } }],
    ['errors', { errors: { every: 1 } }],
    ['silent', { silent: { every: 1 } }],
    ['configChanges', { configChanges: { every: 1 } }],
  ] as const)('names each buffer, at first, and later each power of two: %s', async (way, misbehaves) => {
    await server.end();
    server = new OwnServer({ misbehaves });
    frontEnd = await server.connect();
    await start(VERSION_1, 0);
    for (let index = 0; index < 20; index++) {
      makeAvailable(index, 0, WRITE);
      kick.signal();
      await until(() => used() === index + 1, 'a used buffer');
    }
    const told = server.events.flatMap((event) => (event.kind === 'misbehaved' ? [event] : []));
    const buffer = way === 'silent' ? undefined : 0;
    expect(told[0]).toEqual({ kind: 'misbehaved', way, queue: 0, buffer, count: 1 });
    expect(told.map(({ count }) => count)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 16]);
    expect(server.problems).toEqual([]);
  });
});

describe('the status of the device', () => {
  it('pauses the rings at a reset, and the driver is ready with the next start', async () => {
    const tell = (name: RequestName, value: bigint): Promise<bigint | undefined> =>
      frontEnd.tell(name, encodeU64(value));
    const protocol = (await frontEnd.ask('GET_PROTOCOL_FEATURES'))!;
    frontEnd.send('SET_PROTOCOL_FEATURES', encodeU64(protocol));
    expect(await tell('SET_FEATURES', VERSION_1 | (1n << 30n))).toBe(0n);
    await frontEnd.giveMemory();
    await tell('SET_STATUS', 11n);
    await startRing(0);
    await tell('SET_STATUS', 15n);
    expect(await frontEnd.ask('GET_STATUS')).toBe(15n);
    makeAvailable(0, 0, WRITE);
    kick.signal();
    await until(() => used() === 1, 'a used buffer');
    await tell('SET_STATUS', 0n);
    makeAvailable(1, 0, WRITE);
    kick.signal();
    await frontEnd.ask('GET_FEATURES');
    expect(used()).toBe(1);
    expect(await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0))).toBe(1n << 32n);
    await startRing(1);
    await until(() => used() === 2, 'the next buffer');
  });
});
