import block, {
  BLOCK_SETTINGS,
  VIRTIO_BLK_F_MQ,
  BLOCK_CONFIG,
  BlockDevice,
  FileBacking,
  SparseBacking,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_T_FLUSH,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from '@virtio-platform/device-block';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, NOTHING_LEFT, type Returned } from '@virtio-platform/conformance/testing';
import { BlockLoop } from './block-loop.ts';

const MIB = 1024 * 1024;

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 0xff);
}

describe.each([
  ['little', 'premapped'],
  ['little', 'streaming'],
  ['big', 'premapped'],
  ['big', 'streaming'],
] as const)('a block device, %s-endian, %s', (byteOrder, buffers) => {
  it('reads back what was written, across chunks of the backing', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { byteOrder, buffers });
    const sector = 0x1_0000 / 512 - 4;
    expect(loop.request(VIRTIO_BLK_T_OUT, sector, 4096, pattern(4096, 3))).toBe(VIRTIO_BLK_S_OK);
    expect(loop.request(VIRTIO_BLK_T_IN, 0, 4096, pattern(4096, 9))).toBe(VIRTIO_BLK_S_OK);
    expect(loop.data(4096)).toEqual(new Uint8Array(4096));
    expect(loop.request(VIRTIO_BLK_T_IN, sector, 4096)).toBe(VIRTIO_BLK_S_OK);
    expect(loop.data(4096)).toEqual(pattern(4096, 3));
    loop.dispose();
    expect(loop.mapping.statistics.live).toBe(0);
    expect(loop.memory.allocated).toBe(0);
    expect(loop.faults.count).toBe(0);
  });

  it('tells its serial number', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { byteOrder, buffers });
    expect(loop.request(VIRTIO_BLK_T_GET_ID, 0, 0)).toBe(VIRTIO_BLK_S_OK);
    expect(new TextDecoder().decode(loop.data(8))).toBe('serial-1');
    loop.dispose();
  });

  it('flushes, and refuses a type it does not know', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { byteOrder, buffers });
    expect(loop.request(VIRTIO_BLK_T_FLUSH, 0, 0)).toBe(VIRTIO_BLK_S_OK);
    expect(loop.request(0x7777, 0, 0)).toBe(VIRTIO_BLK_S_UNSUPP);
    loop.dispose();
  });
});

describe('BlockDevice', () => {
  it('fails a request beyond its end and leaves the backing alone', () => {
    const backing = new SparseBacking(MIB);
    const loop = new BlockLoop(backing);
    expect(loop.request(VIRTIO_BLK_T_OUT, MIB / 512 - 4, 4096, pattern(4096, 1))).toBe(VIRTIO_BLK_S_IOERR);
    expect(loop.request(VIRTIO_BLK_T_IN, 2 ** 40, 4096)).toBe(VIRTIO_BLK_S_IOERR);
    const last = new Uint8Array(2048);
    backing.read(MIB - 2048, last, 0, 2048);
    expect(last).toEqual(new Uint8Array(2048));
    loop.dispose();
  });

  it('fails writes where it is read-only', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { readOnly: true });
    expect(loop.request(VIRTIO_BLK_T_OUT, 0, 512, pattern(512, 1))).toBe(VIRTIO_BLK_S_IOERR);
    expect(loop.request(VIRTIO_BLK_T_IN, 0, 512)).toBe(VIRTIO_BLK_S_OK);
    loop.dispose();
  });

  it('keeps its bytes in an image file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
    try {
      const path = join(folder, 'disk.img');
      const loop = new BlockLoop(new FileBacking(path, MIB, false));
      loop.request(VIRTIO_BLK_T_OUT, 8, 4096, pattern(4096, 5));
      loop.dispose();
      const image = readFileSync(path);
      expect(image.length).toBe(MIB);
      expect(new Uint8Array(image.subarray(4096, 8192))).toEqual(pattern(4096, 5));
      expect(image.subarray(0, 4096).every((byte) => byte === 0)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A request's header for sector 0, by itself. */
function headerOf(type: number): number[] {
  return [type, ...Array<number>(15).fill(0)];
}

describe('a block device with several queues', () => {
  const options = { readOnly: false, serial: 's', queues: 4, queueSize: 32, byteOrder: 'little' } as const;

  it('offers MQ, and says in its configuration how many', () => {
    const device = new BlockDevice(new SparseBacking(MIB), options);
    expect([device.features.has(VIRTIO_BLK_F_MQ), device.queueSizes]).toEqual([true, [32, 32, 32, 32]]);
    expect(new DataView(device.config.buffer).getUint16(BLOCK_CONFIG.num_queues.offset, true)).toBe(4);
    expect(new BlockDevice(new SparseBacking(MIB), { ...options, queues: 1 }).features.has(VIRTIO_BLK_F_MQ)).toBe(
      false,
    );
  });

  it('has one disk behind them', () => {
    const accepted = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_BLK_F_MQ);
    const loop = new DeviceLoop(new BlockDevice(new SparseBacking(MIB), options), accepted);
    const bytes = [...pattern(512, 4)];
    expect(loop.exchange(3, [...headerOf(VIRTIO_BLK_T_OUT), ...bytes], 1)).toEqual([VIRTIO_BLK_S_OK]);
    for (const queue of [0, 1, 2]) {
      expect(loop.exchange(queue, headerOf(VIRTIO_BLK_T_IN), 513)).toEqual([...bytes, VIRTIO_BLK_S_OK]);
    }
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it.each([0, 65, 1.5, '4'])('is not made with %s of them', (queues) => {
    const result = BLOCK_SETTINGS.safeParse({ capacity: MIB, readOnly: false, serial: '', queues });
    expect(result.error?.issues.map(({ path }) => path)).toEqual([['queues']]);
  });

  it.each([1, 64])('is made with %d of them', (queues) => {
    expect(block.model(BLOCK_SETTINGS.parse({ queues }), 'little').queueSizes).toHaveLength(queues);
  });

  it.each([0, 2, 24, 65_536])('refuses queues of %d entries', (queueSize) => {
    expect(BLOCK_SETTINGS.safeParse({ queueSize }).error?.issues[0]?.path).toEqual(['queueSize']);
  });

  it.each([4, 32_768])('has queues of at most %d entries, and as many segments as fit', (queueSize) => {
    const model = block.model(BLOCK_SETTINGS.parse({ queueSize, queues: 2 }), 'little');
    expect(model.queueSizes).toEqual([queueSize, queueSize]);
  });
});

/** What a device gives back for one buffer of a driver that accepted these features. */
function exchange(accepted: FeatureSet, readable: readonly number[], writable: number): Returned | undefined {
  const options = { readOnly: false, serial: 'serial-1', queues: 1, queueSize: 32, byteOrder: 'little' } as const;
  const loop = new DeviceLoop(new BlockDevice(new SparseBacking(MIB), options), accepted);
  const came = loop.exchange(0, readable, writable);
  expect(loop.end()).toEqual(NOTHING_LEFT);
  return came;
}

describe('the framing of a request', () => {
  it.each([
    ['of a modern driver', FeatureSet.of(VIRTIO_F_VERSION_1)],
    ['of a legacy driver with ANY_LAYOUT', FeatureSet.of(VIRTIO_F_ANY_LAYOUT)],
  ])('%s does not matter', (_whose, accepted) => {
    expect(exchange(accepted, headerOf(VIRTIO_BLK_T_GET_ID), 21)?.at(-1)).toBe(VIRTIO_BLK_S_OK);
  });

  it('of a legacy driver without it is header and status in descriptors of their own, or the request fails', () => {
    expect(exchange(FeatureSet.EMPTY, headerOf(VIRTIO_BLK_T_FLUSH), 1)).toEqual([VIRTIO_BLK_S_OK]);
    expect(exchange(FeatureSet.EMPTY, headerOf(VIRTIO_BLK_T_GET_ID), 21)).toEqual([]);
    expect(exchange(FeatureSet.EMPTY, [...headerOf(VIRTIO_BLK_T_FLUSH), 0], 1)).toEqual([VIRTIO_BLK_S_IOERR]);
  });
});

describe('BlockDriver', () => {
  it('splits data into segments that the device takes', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { sizeMax: 1024, maxBytes: 4096 });
    expect(loop.request(VIRTIO_BLK_T_OUT, 0, 4096, pattern(4096, 8))).toBe(VIRTIO_BLK_S_OK);
    expect(loop.request(VIRTIO_BLK_T_IN, 0, 4096)).toBe(VIRTIO_BLK_S_OK);
    expect(loop.data(4096)).toEqual(pattern(4096, 8));
    loop.dispose();
  });

  it('keeps as many requests in flight as it has slots', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { depth: 3 });
    const slots = [loop.driver.take(), loop.driver.take(), loop.driver.take()];
    expect(loop.driver.take()).toBe(-1);
    for (const slot of slots) expect(loop.driver.submit(slot, VIRTIO_BLK_T_IN, 0, 512)).toBe(0);
    expect(loop.driver.inFlight).toBe(3);
    expect(loop.run()).toBe(3);
    expect(new Set(loop.driver.completedSlots.subarray(0, 3))).toEqual(new Set(slots));
    loop.dispose();
  });

  it('gives back everything when its buffers do not fit', () => {
    const backing = new SparseBacking(MIB);
    expect(() => new BlockLoop(backing, { depth: 64, maxBytes: 1024 * 1024 })).toThrow(/no room/);
  });
});
