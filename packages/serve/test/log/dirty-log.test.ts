import { EventFd, KickPipe, SharedMemory } from '@virtio-platform/host';
import {
  encodeSharedArea,
  encodeU64,
  encodeVringAddress,
  encodeVringState,
  takeMarkedPages,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
} from '@virtio-platform/vhost-user';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GUEST_ADDRESS, MEMORY_BYTES, OwnServer, until, USER_ADDRESS, type OwnFrontEnd } from '../own-front-end.ts';

const VERSION_1 = 1n << 32n;
const LOG_ALL = 1n << BigInt(VHOST_F_LOG_ALL);
const PROTOCOL = 1n << BigInt(VHOST_USER_F_PROTOCOL_FEATURES);
const SIZE = 16;
const [DESCRIPTORS, DRIVER, DEVICE] = [0, 0x1000, 0x2000];
const [HEADER, DATA, STATUS] = [0x3000, 0x5f00, 0x8000];
const SECTOR = 512;
const [NEXT, WRITE] = [1, 2];
/** Bytes of a log of all memory. */
const LOG_BYTES = (GUEST_ADDRESS + MEMORY_BYTES) / 4096 / 8;

let server: OwnServer;
let frontEnd: OwnFrontEnd;
let kick: KickPipe;
let log: SharedMemory;
beforeEach(async () => {
  server = new OwnServer();
  frontEnd = await server.connect();
  await frontEnd.negotiate(VERSION_1);
  await frontEnd.giveMemory();
  log = frontEnd.own(SharedMemory.create(4096));
});
afterEach(async () => {
  frontEnd.dispose();
  await server.end();
});

async function start(): Promise<void> {
  await frontEnd.placeRing(SIZE, DESCRIPTORS, DRIVER, DEVICE);
  kick = frontEnd.own(new KickPipe());
  await frontEnd.tell('SET_VRING_KICK', encodeU64(0n), [kick.descriptor]);
  kick.closeReadEnd();
  await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
}

/** Has one sector read, as number `index`, and waits until it is used. */
async function readSector(index: number): Promise<void> {
  const view = new DataView(frontEnd.memory!.buffer);
  new Uint8Array(frontEnd.memory!.buffer).fill(0, HEADER, HEADER + 16);
  [
    [HEADER, 16, NEXT],
    [DATA, SECTOR, NEXT | WRITE],
    [STATUS, 1, WRITE],
  ].forEach(([at, length, flags], i) => {
    view.setBigUint64(DESCRIPTORS + 16 * i, BigInt(GUEST_ADDRESS + at!), true);
    view.setUint32(DESCRIPTORS + 16 * i + 8, length!, true);
    view.setUint16(DESCRIPTORS + 16 * i + 12, flags!, true);
    view.setUint16(DESCRIPTORS + 16 * i + 14, i + 1, true);
  });
  view.setUint16(DRIVER + 4 + 2 * (index % SIZE), 0, true);
  view.setUint16(DRIVER + 2, index + 1, true);
  kick.signal();
  await until(() => view.getUint16(DEVICE + 2, true) === index + 1, 'a used buffer');
  // What comes behind the used index is done once the next message is.
  await frontEnd.ask('GET_FEATURES');
}

async function giveLog(size: number, offset = 0, descriptor: number = log.descriptor): Promise<bigint | undefined> {
  const area = encodeSharedArea({ size: BigInt(size), offset: BigInt(offset) });
  frontEnd.send('SET_LOG_BASE', area, [descriptor]);
  return (await frontEnd.receive())?.payload.getBigUint64(0, true);
}

const setLogging = (isOn: boolean): Promise<bigint | undefined> =>
  frontEnd.tell('SET_FEATURES', encodeU64(VERSION_1 | PROTOCOL | (isOn ? LOG_ALL : 0n)));
const userAt = (offset: number): bigint => USER_ADDRESS + BigInt(offset);
const setRing = (at?: number): Promise<bigint | undefined> => {
  const guest = at === undefined ? undefined : BigInt(at);
  const address = encodeVringAddress(0, userAt(DESCRIPTORS), userAt(DRIVER), userAt(DEVICE), guest);
  return frontEnd.tell('SET_VRING_ADDR', address);
};
const marked = (): number[] => takeMarkedPages(new Uint8Array(log.buffer)).map((page) => page - GUEST_ADDRESS);

describe('a log of dirty pages', () => {
  it('begins and ends while the ring is in use, for buffers and for the ring each by itself', async () => {
    await start();
    await readSector(0);
    expect(await giveLog(LOG_BYTES)).toBe(0n);
    expect(marked()).toEqual([]);
    const event = frontEnd.own(new EventFd());
    expect(await frontEnd.tell('SET_LOG_FD', undefined, [event.descriptor])).toBe(0n);
    expect(await setLogging(true)).toBe(0n);
    await readSector(1);
    // The sector lies on two pages.
    expect(marked()).toEqual([0x5000, 0x6000, 0x8000]);
    expect(await setRing(GUEST_ADDRESS + DEVICE)).toBe(0n);
    await readSector(2);
    expect(marked()).toEqual([0x2000, 0x5000, 0x6000, 0x8000]);
    expect(event.drain()).toBeGreaterThan(0);
    expect(await setLogging(false)).toBe(0n);
    await readSector(3);
    expect(marked()).toEqual([0x2000]);
    expect(await setRing()).toBe(0n);
    await readSector(4);
    expect(marked()).toEqual([]);
    expect(server.problems).toEqual([]);
  });

  it('that is replaced is not marked in any more', async () => {
    await start();
    await giveLog(LOG_BYTES);
    await setLogging(true);
    const old = log;
    log = frontEnd.own(SharedMemory.create(8192));
    expect(await giveLog(LOG_BYTES, 4096)).toBe(0n);
    await readSector(0);
    expect(takeMarkedPages(new Uint8Array(old.buffer))).toEqual([]);
    expect(takeMarkedPages(new Uint8Array(log.buffer, 4096))).toHaveLength(3);
  });

  it('that ends before a page is named once, and what is in it is marked', async () => {
    await start();
    await giveLog(LOG_BYTES - 31);
    await setLogging(true);
    await readSector(0);
    await readSector(1);
    expect(marked()).toEqual([0x5000, 0x6000]);
    expect(server.problems).toEqual([
      'the front-end has writes logged and gave a log of 33 bytes, which ends before that page: ' +
        'the page at 0x108000 is not marked',
    ]);
  });

  it('that was not given is named once', async () => {
    await start();
    await setLogging(true);
    await readSector(0);
    await readSector(1);
    expect(server.problems).toEqual([expect.stringMatching(/logged and gave no log: the page at 0x105000 is n/)]);
  });

  it('has a used ring at an address that no memory has', async () => {
    const above = GUEST_ADDRESS + MEMORY_BYTES;
    await start();
    await giveLog(2 * LOG_BYTES);
    expect(await setRing(above)).toBe(0n);
    await readSector(0);
    expect(marked()).toEqual([MEMORY_BYTES]);
    expect(server.problems).toEqual([]);
  });

  it('that ends before its used ring is named once', async () => {
    await start();
    await giveLog(LOG_BYTES);
    expect(await setRing(-(2 ** 40))).toBe(0n);
    await readSector(0);
    await readSector(1);
    expect(marked()).toEqual([]);
    expect(server.problems).toEqual([
      expect.stringMatching(/a log of 64 bytes, which ends before .* page at 0xffffff0000000000 is not marked/),
    ]);
  });

  for (const [name, size, offset] of [
    ['longer than its file', 8192, 0],
    ['of no bytes', 0, 0],
    ['behind its file', 64, 1 << 20],
  ] as const) {
    it(`${name} ends the connection, and is named`, async () => {
      expect(await giveLog(size, offset)).toBeUndefined();
      await server.untilDisconnected();
      expect(server.problems.at(-1)).toMatch(/gives a log of dirty pages of \d+ bytes from byte \d+ of a file of 4096/);
    });
  }

  it('by no file ends the connection, and is named', async () => {
    expect(await giveLog(64, 0, frontEnd.own(new EventFd()).descriptor)).toBeUndefined();
    expect(server.problems.at(-1)).toMatch(/log of dirty pages by a descriptor that is no file/);
  });
});
