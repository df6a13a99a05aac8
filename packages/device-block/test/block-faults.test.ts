import {
  BlockDevice,
  SparseBacking,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  type BlockBacking,
} from '@virtio-platform/device-block';
import { CodedError } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, hostileChain, NOTHING_LEFT, pattern } from '@virtio-platform/conformance/testing';
import { FailingBacking, systemError } from './failing-backing.ts';

const MIB = 1024 * 1024;
const NOWHERE = 2 ** 40;

function open(backing: BlockBacking = new SparseBacking(MIB)): { device: BlockDevice; loop: DeviceLoop } {
  const options = { readOnly: false, serial: 'serial-1', queues: 1, queueSize: 32, byteOrder: 'little' } as const;
  const device = new BlockDevice(backing, options);
  return { device, loop: new DeviceLoop(device, FeatureSet.of(VIRTIO_F_VERSION_1)) };
}

/** The header of a request for sector 0. */
function header(type: number): number[] {
  return [type, ...Array<number>(15).fill(0)];
}

describe('the used length of a block request', () => {
  it.each([
    ['GET_ID with 512 bytes of room', header(VIRTIO_BLK_T_GET_ID), 512, 20],
    ['GET_ID with just enough', header(VIRTIO_BLK_T_GET_ID), 21, 21],
    ['GET_ID with too little', header(VIRTIO_BLK_T_GET_ID), 20, 0],
    ['OUT with spare room', [...header(VIRTIO_BLK_T_OUT), ...pattern(512)], 100, 0],
    ['OUT', [...header(VIRTIO_BLK_T_OUT), ...pattern(512)], 1, 1],
    ['FLUSH with spare room', header(VIRTIO_BLK_T_FLUSH), 100, 0],
    ['FLUSH', header(VIRTIO_BLK_T_FLUSH), 1, 1],
    ['IN', header(VIRTIO_BLK_T_IN), 1025, 1025],
    ['IN of half a sector', header(VIRTIO_BLK_T_IN), 257, 0],
    ['an unknown type with spare room', header(0x77), 100, 0],
  ])('I9 is the prefix that was written: %s', (_, readable, room, length) => {
    const { loop } = open();
    expect(loop.exchange(0, readable, room)).toHaveLength(length);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('I9 counts no more than was written before a fault, and not the status behind it', () => {
    const { device, loop } = open();
    const at = loop.memory.allocate(0x4_0000);
    loop.memory.u8.set(header(VIRTIO_BLK_T_IN), at);
    const data = at + 512;
    const readable: [number, number][] = [[at, 16]];
    // The second half cannot be written, the status behind it can.
    const writable: [number, number][] = [
      [data, 0x1_0000],
      [NOWHERE, 0x1_0000],
      [at + 16, 1],
    ];
    expect(device.process(0, hostileChain(readable, writable), loop.space, loop)).toBe(0x1_0000);
    expect(loop.memory.u8[at + 16]).toBe(VIRTIO_BLK_S_IOERR);
    // All data was written, the status was not.
    const noStatus: [number, number][] = [
      [data, 512],
      [NOWHERE, 1],
    ];
    expect(device.process(0, hostileChain(readable, noStatus), loop.space, loop)).toBe(512);
    loop.end();
  });
});

describe('a write of which a part cannot be read', () => {
  it('I9 leaves the disk as it was, also the part that could be read', () => {
    const backing = new SparseBacking(MIB);
    const { device, loop } = open(backing);
    const at = loop.memory.allocate(0x4_0000);
    loop.memory.u8.set(header(VIRTIO_BLK_T_OUT), at);
    loop.memory.u8.fill(0x5a, at + 512, at + 512 + 0x2_0000);
    const readable: [number, number][] = [
      [at, 16],
      [at + 512, 0x1_8000],
      [NOWHERE, 0x8000],
    ];
    expect(device.process(0, hostileChain(readable, [[at + 16, 1]]), loop.space, loop)).toBe(1);
    expect(loop.memory.u8[at + 16]).toBe(VIRTIO_BLK_S_IOERR);
    const disk = new Uint8Array(0x2_0000).fill(1);
    backing.read(0, disk, 0, disk.length);
    expect(disk.every((byte) => byte === 0)).toBe(true);
    loop.end();
  });
});

describe('an error of the image', () => {
  it.each([
    ['ENOSPC', () => systemError('ENOSPC')],
    ['EIO', () => systemError('EIO')],
    ['a coded error', () => new CodedError('ERR_SYSCALL', 'write failed')],
  ])('C7 is IOERR, reported, and the device goes on: %s', (_, error) => {
    const { loop } = open(new FailingBacking(MIB, ['write', 'flush'], error));
    expect(loop.exchange(0, [...header(VIRTIO_BLK_T_OUT), ...pattern(512)], 1)).toEqual([VIRTIO_BLK_S_IOERR]);
    expect(loop.exchange(0, header(VIRTIO_BLK_T_FLUSH), 1)).toEqual([VIRTIO_BLK_S_IOERR]);
    expect(loop.exchange(0, header(VIRTIO_BLK_T_IN), 513)?.at(-1)).toBe(VIRTIO_BLK_S_OK);
    expect(loop.reported).toHaveLength(2);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('C7 is IOERR where a read fails, and no byte counts as written', () => {
    const { loop } = open(new FailingBacking(MIB, ['read'], () => systemError('EIO')));
    expect(loop.exchange(0, header(VIRTIO_BLK_T_IN), 513)).toEqual([]);
    expect(loop.reported).toHaveLength(1);
    loop.end();
  });

  it('C6 is no mistake of the device half, which is thrown on', () => {
    const { device, loop } = open(new FailingBacking(MIB, ['flush'], () => new TypeError('a mistake')));
    const at = loop.memory.allocate(64);
    loop.memory.u8.set(header(VIRTIO_BLK_T_FLUSH), at);
    const chain = hostileChain([[at, 16]], [[at + 16, 1]]);
    expect(() => device.process(0, chain, loop.space, loop)).toThrow('a mistake');
    loop.end();
  });
});

describe('a request that is longer than the device takes', () => {
  it('C10 fails at once, whatever the disk has', () => {
    const { device, loop } = open(new SparseBacking(2 ** 40));
    const at = loop.memory.allocate(0x10_0000);
    loop.memory.u8.set(header(VIRTIO_BLK_T_IN), at);
    const writable = Array.from({ length: 8 }, (): [number, number] => [at + 0x1000, 0x2000_0000 - 512]);
    const start = performance.now();
    device.process(0, hostileChain([[at, 16]], [...writable, [at + 16, 1]]), loop.space, loop);
    expect(loop.memory.u8[at + 16]).toBe(VIRTIO_BLK_S_IOERR);
    expect(performance.now() - start).toBeLessThan(1000);
    loop.end();
  });
});
