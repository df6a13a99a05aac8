import { DeviceLoop } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  BLOCK_CONFIG,
  BlockDevice,
  SparseBacking,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_T_FLUSH_OUT,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_WRITE_ZEROES,
} from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';

/** A disk in memory that counts its flushes. */
class CountingBacking extends SparseBacking {
  flushes = 0;

  override flush(): void {
    this.flushes++;
  }
}

function open(accepted: readonly number[], writeback = true): { device: BlockDevice; write: () => number } {
  const backing = new CountingBacking(65_536);
  const device = new BlockDevice(backing, {
    readOnly: false,
    serial: '',
    queues: 1,
    queueSize: 32,
    byteOrder: 'little',
    writeback,
  });
  const loop = new DeviceLoop(device, FeatureSet.of(...accepted));
  const write = (): number => {
    const before = backing.flushes;
    const header = [VIRTIO_BLK_T_OUT, ...Array<number>(15).fill(0)];
    expect(loop.exchange(0, [...header, ...Array<number>(512).fill(1)], 1)).toEqual([VIRTIO_BLK_S_OK]);
    return backing.flushes - before;
  };
  return { device, write };
}

/** The field `writeback`. */
function modeOf(device: BlockDevice): number {
  return device.config[BLOCK_CONFIG.writeback.offset]!;
}

const [MODERN, FLUSH, WCE] = [VIRTIO_F_VERSION_1, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_CONFIG_WCE];

describe('the cache of a block device', () => {
  it.each([
    ['keeps writes until a flush of a driver with FLUSH', [MODERN, FLUSH], true, 0],
    ['keeps no write of a driver that cannot flush', [MODERN], true, 1],
    ['keeps no write of a legacy driver that cannot flush', [VIRTIO_F_ANY_LAYOUT], true, 1],
    ['keeps writes of a driver that can switch it', [MODERN, FLUSH, WCE], true, 0],
    ['is write-through where the settings say so', [MODERN, FLUSH, WCE], false, 1],
    ['is write-through also for a driver that cannot switch it', [MODERN, FLUSH], false, 1],
    ['is write-through with CONFIG_WCE and without FLUSH', [MODERN, WCE], true, 1],
  ])('%s', (_, accepted, writeback, flushes) => {
    expect(open(accepted, writeback).write()).toBe(flushes);
  });

  it('is switched by the driver, and says what it is', () => {
    const { device, write } = open([MODERN, FLUSH, WCE]);
    const seen = [0, 1, 0, 7].map((value) => {
      device.writeConfig(BLOCK_CONFIG.writeback.offset, Uint8Array.of(value));
      return [modeOf(device), write()];
    });
    expect(seen).toEqual([
      [0, 1],
      [1, 0],
      [0, 1],
      [1, 0],
    ]);
  });

  it('says 0 to a modern driver with CONFIG_WCE and without FLUSH, and to a legacy one what it was', () => {
    expect(modeOf(open([MODERN, WCE]).device)).toBe(0);
    expect(modeOf(open([VIRTIO_F_ANY_LAYOUT, WCE]).device)).toBe(1);
  });

  it('is flushed after a write of zeroes too, where it is write-through', () => {
    const backing = new CountingBacking(65_536);
    const options = { readOnly: false, serial: '', queues: 1, queueSize: 32, byteOrder: 'little' } as const;
    const device = new BlockDevice(backing, { ...options, writeback: false });
    const loop = new DeviceLoop(device, FeatureSet.of(MODERN, FLUSH, VIRTIO_BLK_F_WRITE_ZEROES));
    const header = [VIRTIO_BLK_T_WRITE_ZEROES, ...Array<number>(15).fill(0)];
    expect(loop.exchange(0, [...header, ...Array<number>(8).fill(0), 1, 0, 0, 0, 0, 0, 0, 0], 1)).toEqual([
      VIRTIO_BLK_S_OK,
    ]);
    expect(backing.flushes).toBe(1);
  });

  it.each([
    ['flushes', [VIRTIO_F_ANY_LAYOUT, FLUSH], VIRTIO_BLK_S_OK, 1],
    ['is unknown', [MODERN, FLUSH], VIRTIO_BLK_S_UNSUPP, 0],
  ])('the legacy type FLUSH_OUT %s', (_, accepted, status, flushes) => {
    const backing = new CountingBacking(65_536);
    const options = { readOnly: false, serial: '', queues: 1, queueSize: 32, byteOrder: 'little' } as const;
    const loop = new DeviceLoop(new BlockDevice(backing, options), FeatureSet.of(...accepted));
    expect(loop.exchange(0, [VIRTIO_BLK_T_FLUSH_OUT, ...Array<number>(15).fill(0)], 1)).toEqual([status]);
    expect(backing.flushes).toBe(flushes);
  });
});
