import { readdirSync } from 'node:fs';
import { EventFd, SharedMemory } from '@virtio-platform/host';
import {
  encodeConfig,
  encodeIotlbMessage,
  encodeMemoryTable,
  encodeRegion,
  encodeU64,
  encodeVringAddress,
  encodeVringState,
  IotlbMessageType,
} from '@virtio-platform/vhost-user';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GUEST_ADDRESS, MEMORY_BYTES, OwnFrontEnd, OwnServer, USER_ADDRESS } from '../own-front-end.ts';

const VERSION_1 = 1n << 32n;

function header(request: number, flags: number, size: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(request, flags, size).buffer);
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

let server: OwnServer;
let frontEnd: OwnFrontEnd;
let before: number;
beforeEach(async () => {
  before = openDescriptors();
  server = new OwnServer();
  frontEnd = await server.connect();
});
afterEach(async () => {
  frontEnd.dispose();
  await server.untilDisconnected();
  // Whatever came before, the next front-end is served.
  const next = await server.connect();
  expect(await next.ask('GET_FEATURES')).toBeGreaterThan(0n);
  next.dispose();
  await server.end();
  // The pipe that ends the wait of the one thread stays.
  expect(openDescriptors()).toBeLessThanOrEqual(before + 2);
});

/** The payload of a region of the file from its start. */
function regionAt(at: number, size = 4096): Uint8Array {
  return encodeRegion({ guestAddress: BigInt(at), size, userAddress: USER_ADDRESS + BigInt(at), offset: 0 });
}

/** Refused, and the connection goes on. */
async function expectRefused(answer: Promise<bigint | undefined>, said: RegExp): Promise<void> {
  const problems = server.problems.length;
  expect(await answer).toBe(1n);
  expect(server.problems.slice(problems)).toHaveLength(1);
  expect(server.problems.at(-1)).toMatch(said);
  expect(server.problems.at(-1)).toMatch(/refused$/);
  expect(await frontEnd.ask('GET_FEATURES')).toBeGreaterThan(0n);
}

/** Everything that ends the connection, each with what is said of it. */
const ENDS: readonly (readonly [string, (to: OwnFrontEnd) => void, RegExp])[] = [
  ['an unknown request', (to) => to.sendRaw(header(99, 1, 0)), /request 99, which was not negotiated/],
  ['another version', (to) => to.sendRaw(header(1, 2, 0)), /GET_FEATURES with flags 2/],
  ['an answer to no question', (to) => to.sendRaw(header(1, 5, 0)), /GET_FEATURES with flags 5/],
  ['more bytes than a message has', (to) => to.sendRaw(header(2, 1, 0x7fff_ffff)), /2147483647 bytes/],
  ['a payload that is too short', (to) => to.send('SET_FEATURES', new Uint8Array(4)), /SET_FEATURES with 4 bytes/],
  ['a payload where there is none', (to) => to.send('GET_FEATURES', new Uint8Array(8)), /GET_FEATURES with 8 bytes/],
  ['half of a message', (to) => to.sendRaw(header(2, 1, 8)), /half of a message, and no more in 1000 ms/],
  [
    'descriptors that belong to nothing',
    (to) => to.send('GET_FEATURES', undefined, [to.own(new EventFd()).descriptor]),
    /GET_FEATURES with 1 descriptors/,
  ],
  ['a feature that was not offered', (to) => to.send('SET_FEATURES', encodeU64(1n << 60n)), /not offered: BIT_60/],
  [
    'a protocol feature that was not offered',
    (to) => to.send('SET_PROTOCOL_FEATURES', encodeU64(1n << 11n)),
    /protocol features that were not offered: 0x800/,
  ],
  [
    'a message of a protocol feature that was not accepted',
    (to) => to.send('GET_QUEUE_NUM'),
    /GET_QUEUE_NUM without having accepted the protocol feature MQ/,
  ],
  ['a queue that there is not', (to) => to.send('SET_VRING_NUM', encodeVringState(1, 64)), /queue 1: the device has 1/],
];

describe('a front-end', () => {
  it.each(ENDS)('that sends %s is let go, and named', async (_, send, said) => {
    send(frontEnd);
    await server.untilDisconnected();
    expect(server.problems).toHaveLength(1);
    expect(server.problems[0]).toMatch(said);
    expect(server.problems[0]).toMatch(/^the front-end .*; the connection ends$/);
  });

  it('that goes away in the middle of everything leaves nothing behind', async () => {
    await frontEnd.negotiate(VERSION_1);
    await frontEnd.giveMemory();
    await frontEnd.tell('SET_VRING_CALL', encodeU64(0n), [frontEnd.own(new EventFd()).descriptor]);
    frontEnd.dispose();
    await server.untilDisconnected();
    expect(server.problems).toEqual([]);
  });

  describe('that waits for the result', () => {
    beforeEach(() => frontEnd.negotiate(VERSION_1));

    it('is refused memory that cannot be', async () => {
      const file = frontEnd.own(SharedMemory.create(MEMORY_BYTES));
      const region = { guestAddress: 0n, size: MEMORY_BYTES, userAddress: USER_ADDRESS, offset: 0 };
      const give = (changes: object, ...descriptors: number[]): Promise<bigint | undefined> =>
        frontEnd.tell('SET_MEM_TABLE', encodeMemoryTable({ ...region, ...changes }), descriptors);
      await expectRefused(give({}), /0 descriptors for 1 memory regions/);
      await expectRefused(give({}, file.descriptor, file.descriptor), /2 descriptors for 1/);
      await expectRefused(give({}, frontEnd.own(new EventFd()).descriptor), /by a descriptor that is no file/);
      await expectRefused(give({}, frontEnd.openFile('/proc/self/exe', 'r')), /cannot be written to/);
      await expectRefused(give({ size: 0 }, file.descriptor), /gives 0 bytes/);
      await expectRefused(give({ offset: 4096 }, file.descriptor), /from byte 4096 of a file of 1048576 bytes/);
      await expectRefused(give({ guestAddress: 2n ** 63n }, file.descriptor), /ends behind all addresses/);
      await expectRefused(give({ userAddress: 2n ** 64n - 1n }, file.descriptor), /ends behind all addresses/);
      const lying = encodeMemoryTable(region);
      lying[0] = 2;
      await expectRefused(frontEnd.tell('SET_MEM_TABLE', lying, [file.descriptor]), /a table of 40 bytes/);
    });

    it('is refused regions that overlap, that it never gave, and more than there are slots', async () => {
      const file = frontEnd.own(SharedMemory.create(MEMORY_BYTES));
      expect(await frontEnd.ask('GET_MAX_MEM_SLOTS')).toBe(64n);
      const add = (payload: Uint8Array): Promise<bigint | undefined> =>
        frontEnd.tell('ADD_MEM_REG', payload, [file.descriptor]);
      await expectRefused(frontEnd.tell('ADD_MEM_REG', regionAt(0)), /without a descriptor/);
      expect(await add(regionAt(0, 8192))).toBe(0n);
      await expectRefused(add(regionAt(4096)), /overlap another region/);
      await expectRefused(
        frontEnd.tell('REM_MEM_REG', regionAt(0, 4096)),
        /takes back memory at 0x0 that it never gave/,
      );
      expect(await frontEnd.tell('REM_MEM_REG', regionAt(0, 8192), [file.descriptor])).toBe(0n);
      for (let i = 0; i < 64; i++) expect(await add(regionAt(4096 * i))).toBe(0n);
      await expectRefused(add(regionAt(4096 * 64)), /takes 64 regions/);
    });

    it('is refused rings and descriptors that cannot be', async () => {
      await expectRefused(frontEnd.tell('SET_VRING_NUM', encodeVringState(0, 4096)), /4096 entries.*takes 1024/);
      await expectRefused(frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 2)), /enables queue 0 with 2/);
      const file = frontEnd.openFile('/proc/self/exe', 'r');
      await expectRefused(frontEnd.tell('SET_VRING_KICK', encodeU64(0n), [file]), /no event counter, pipe or socket/);
      await expectRefused(frontEnd.tell('SET_VRING_CALL', encodeU64(0n), [file]), /no event counter, pipe or socket/);
      await expectRefused(frontEnd.tell('SET_VRING_KICK', encodeU64(0n)), /without a descriptor/);
      const counter = frontEnd.own(new EventFd()).descriptor;
      await expectRefused(frontEnd.tell('SET_VRING_ERR', encodeU64(0x100n), [counter]), /with a descriptor/);
      await expectRefused(frontEnd.tell('SET_VRING_CALL', encodeU64(3n), [counter]), /names queue 3/);
      await expectRefused(frontEnd.tell('SET_BACKEND_REQ_FD', undefined, [counter]), /no socket and no pipe/);
    });

    it('passes on a queue without entries: the queue is not served, and its driver is named', async () => {
      expect(await frontEnd.tell('SET_VRING_NUM', encodeVringState(0, 0))).toBe(0n);
      expect(server.problems).toEqual(['the driver gives queue 0 no entries: it is not served']);
    });

    it('is refused a ring outside of its memory, once, and may say it again', async () => {
      await frontEnd.giveMemory();
      const kick = frontEnd.own(new EventFd()).descriptor;
      await frontEnd.tell('SET_VRING_NUM', encodeVringState(0, 16));
      const outside = USER_ADDRESS + BigInt(MEMORY_BYTES) - 64n;
      await frontEnd.tell('SET_VRING_ADDR', encodeVringAddress(0, outside, USER_ADDRESS, USER_ADDRESS));
      await frontEnd.tell('SET_VRING_KICK', encodeU64(0n), [kick]);
      const enabled = frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
      await expectRefused(enabled, /256 bytes of queue 0 at 0x7000000fffc0, which are in no region/);
      await frontEnd.placeRing(16, 0, 4096, 8192);
      expect(server.events.some(({ kind }) => kind === 'queue-started')).toBe(true);
    });

    it('is refused changes of a ring that is in use', async () => {
      await frontEnd.giveMemory();
      await frontEnd.placeRing(16, 0, 4096, 8192);
      await frontEnd.tell('SET_VRING_KICK', encodeU64(0n), [frontEnd.own(new EventFd()).descriptor]);
      await frontEnd.tell('SET_VRING_ENABLE', encodeVringState(0, 1));
      await expectRefused(frontEnd.tell('SET_VRING_NUM', encodeVringState(0, 8)), /size of queue 0 while/);
      await expectRefused(frontEnd.tell('SET_VRING_BASE', encodeVringState(0, 8)), /position of queue 0 while/);
      const other = encodeVringAddress(0, USER_ADDRESS, USER_ADDRESS, USER_ADDRESS);
      await expectRefused(frontEnd.tell('SET_VRING_ADDR', other), /addresses of queue 0 while/);
      await expectRefused(frontEnd.tell('SET_FEATURES', encodeU64(VERSION_1)), /features while queues are in use/);
      expect(await frontEnd.ask('GET_VRING_BASE', encodeVringState(0, 0))).toBe(0n);
    });

    it('passes on a write of configuration that no driver may write: it has no effect, and is named', async () => {
      const capacity = await frontEnd.configByte(0);
      expect(await frontEnd.tell('SET_CONFIG', encodeConfig(0, new Uint8Array(8)))).toBe(0n);
      expect(server.problems).toEqual([expect.stringMatching(/^the driver writes bytes of the configuration/)]);
      expect([await frontEnd.configByte(0), capacity]).toEqual([64, 64]);
      const lying = encodeConfig(0, new Uint8Array(8));
      lying[4] = 9;
      await expectRefused(frontEnd.tell('SET_CONFIG', lying), /9 bytes.*with 8/);
    });

    it('is refused translations that lead nowhere, or are none of its messages', async () => {
      await frontEnd.giveMemory();
      const update = {
        type: IotlbMessageType.Update,
        low: 0x1000,
        high: 0,
        size: 4096,
        userAddress: 1n,
        permission: 3,
      };
      const tell = (changes: object): Promise<bigint | undefined> =>
        frontEnd.tell('IOTLB_MSG', encodeIotlbMessage({ ...update, ...changes }));
      await expectRefused(tell({}), /4096 bytes at 0x1000 to 0x1, which is in no region/);
      await expectRefused(tell({ permission: 4 }), /permission 4/);
      await expectRefused(tell({ size: 0 }), /translates 0 bytes/);
      await expectRefused(tell({ type: IotlbMessageType.Miss }), /type 1/);
      expect(await tell({ userAddress: USER_ADDRESS })).toBe(0n);
    });
  });
});

it('guest memory of these tests is not at its user address', () => {
  expect(BigInt(GUEST_ADDRESS)).not.toBe(USER_ADDRESS);
});
