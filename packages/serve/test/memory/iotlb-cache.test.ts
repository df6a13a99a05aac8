import { SharedMemory, UnixSocket } from '@virtio-platform/host';
import { IotlbMessageType, type ReceivedIotlbMessage } from '@virtio-platform/vhost-user';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { IotlbCache } from '../../src/memory/iotlb-cache.ts';
import { ServedMemory } from '../../src/memory/served-memory.ts';

const USER = 0x7f00_0000_0000n;
const BYTES = 1 << 20;
const [READ, WRITE, BOTH] = [1, 2, 3];
const region = { guestAddress: 0n, size: BigInt(BYTES), userAddress: USER, offset: 0n };

/** A descriptor as a message brings it. */
function received(descriptor: number): number {
  const [here, there] = UnixSocket.pair();
  const descriptors: number[] = [];
  here.send(new Uint8Array(1), [descriptor], 1000);
  there.receiveDescriptors(new Uint8Array(1), descriptors, 1000);
  for (const socket of [here, there]) socket.dispose();
  return descriptors[0]!;
}

let file: SharedMemory;
let served: ServedMemory;
let cache: IotlbCache;
let asked: string[];
/** What the front-end answers. */
let answer: (low: number, high: number, permission: number) => void;
beforeAll(() => {
  file = SharedMemory.create(BYTES);
  served = new ServedMemory();
});
afterAll(() => {
  served.dispose();
  file.dispose();
});
beforeEach(() => {
  served.replace([region], [received(file.descriptor)]);
  asked = [];
  answer = () => {};
  cache = new IotlbCache(served, (low, high, permission) => {
    asked.push(`${high.toString(16)}:${low.toString(16)} ${permission}`);
    answer(low, high, permission);
    return true;
  });
});

function update(low: number, high: number, size: number, at: number, permission = BOTH): ReceivedIotlbMessage {
  return { type: IotlbMessageType.Update, low, high, size, userAddress: USER + BigInt(at), permission };
}

describe('IotlbCache', () => {
  it('translates what it was told, to the end of a run, without asking', () => {
    cache.update(update(0x1_0000, 0x0800_0000, 0x4000, 0x8000));
    const start = served.offsetOfUser(USER, 1);
    expect(cache.translate(0x1_0000, 0x0800_0000, 'read')).toBe(start + 0x8000);
    expect(cache.run).toBe(0x4000);
    expect(cache.translate(0x1_3fff, 0x0800_0000, 'write')).toBe(start + 0xbfff);
    expect([cache.run, asked]).toEqual([1, []]);
  });

  it('asks for what it does not know, and for a permission that it was not given', () => {
    answer = (low, high, permission) => cache.update(update(low & ~0xfff, high, 0x1000, 0x2000, permission));
    expect(cache.translate(0x5004, 1, 'read')).toBeGreaterThanOrEqual(0);
    expect(cache.translate(0x5008, 1, 'read')).toBeGreaterThanOrEqual(0);
    expect(cache.translate(0x5008, 1, 'write')).toBeGreaterThanOrEqual(0);
    expect(asked).toEqual([`1:5004 ${READ}`, `1:5008 ${WRITE}`]);
    expect(cache.misses).toBe(2);
  });

  it('refuses what the front-end does not translate, with the cause', () => {
    expect([cache.translate(0x5000, 0, 'read'), cache.cause, cache.run]).toEqual([-1, 'unmapped', 1]);
    cache.update(update(0x5000, 0, 0x1000, 0, READ));
    expect([cache.translate(0x5000, 0, 'write'), cache.cause]).toEqual([-1, 'write-not-permitted']);
  });

  it('forgets what is invalidated, in part or as a whole, and says so by its generation', () => {
    for (let page = 0; page < 8; page++) cache.update(update(0x1000 * page, 0xffff_ffff, 0x1000, 0x1000 * page));
    const { generation } = cache;
    cache.invalidate(0x2800, 0xffff_ffff, 0x1000);
    expect([cache.size, cache.generation]).toEqual([6, generation + 1]);
    expect([1, 2, 3, 4].map((page) => cache.knows(0x1000 * page, 0xffff_ffff, BOTH))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    cache.invalidate(0x2000, 0xffff_ffff, 0x2000);
    expect(cache.generation).toBe(generation + 1);
    cache.invalidate(0, 0, 2 ** 64);
    expect(cache.size).toBe(0);
  });

  it('has at most one translation of an address, the last one', () => {
    cache.update(update(0, 0, 0x4000, 0));
    cache.update(update(0x1000, 0, 0x1000, 0x8000));
    const start = served.offsetOfUser(USER, 1);
    expect(cache.translate(0x1000, 0, 'read')).toBe(start + 0x8000);
    expect([cache.size, cache.knows(0, 0, READ)]).toEqual([1, false]);
    const { generation } = cache;
    cache.update(update(0x1000, 0, 0x1000, 0x8000));
    expect(cache.generation).toBe(generation);
  });

  it('forgets everything when memory goes, and when there is too much of it', () => {
    cache.update(update(0, 0, 0x1000, 0));
    const { generation } = cache;
    served.clear();
    expect(cache.generation).not.toBe(generation);
    expect(cache.translate(0, 0, 'read')).toBe(-1);
    served.replace([region], [received(file.descriptor)]);
    for (let i = 0; i < 20_000; i++) cache.update(update((0x1000 * i) % 2 ** 32, 0, 0x1000, 0));
    expect(cache.size).toBeLessThanOrEqual(8192);
  });
});

describe('ServedMemory', () => {
  it('keeps a region that stays in a new table, and lays others beside it', () => {
    served.memory.u8[served.translate(100, 0)] = 42;
    expect(new Uint8Array(file.buffer)[100]).toBe(42);
    const [before, generation] = [served.translate(0, 0), served.generation];
    const second = { ...region, guestAddress: 0x1_0000_0000n, userAddress: USER + 0x1000_0000n };
    served.replace([region, second], [received(file.descriptor), received(file.descriptor)]);
    expect([served.translate(0, 0), served.generation, served.count]).toEqual([before, generation, 2]);
    const other = served.translate(0, 1);
    expect([served.memory.u8[other + 100], served.run]).toEqual([42, BYTES]);
    served.replace([second], [received(file.descriptor)]);
    expect([served.translate(0, 0), served.translate(0, 1)]).toEqual([-1, other]);
    expect(served.generation).toBe(generation + 1);
    expect(served.memory.u8[before + 100]).toBe(0);
  });

  it('finds addresses of the front-end only where all bytes are in one region', () => {
    expect(served.guestOfUser(USER + 4096n, BYTES - 4096)).toBe(4096n);
    expect(served.guestOfUser(USER + 4096n, BYTES - 4095)).toBeUndefined();
    expect(served.offsetOfUser(USER - 1n, 2)).toBe(-1);
  });

  it('begins a region inside of a page where the file does', () => {
    new Uint8Array(file.buffer)[0x1234] = 99;
    served.replace([{ ...region, size: 0x100n, offset: 0x1200n }], [received(file.descriptor)]);
    expect(served.memory.u8[served.translate(0x34, 0)]).toBe(99);
    expect(served.translate(0x100, 0)).toBe(-1);
  });
});
