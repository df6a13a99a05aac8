import { DeviceLoop, hostileChain, NOTHING_LEFT } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  BlockDevice,
  SparseBacking,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_LIFETIME,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_T_DISCARD,
  VIRTIO_BLK_T_GET_LIFETIME,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_SECURE_ERASE,
  VIRTIO_BLK_T_WRITE_ZEROES,
  type BlockDeviceOptions,
} from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';

const KIB = 1024;
const CHUNK = 64 * KIB;
const CAPACITY = 4 * CHUNK;
const ALL = FeatureSet.of(
  VIRTIO_F_VERSION_1,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_F_LIFETIME,
  VIRTIO_BLK_F_SECURE_ERASE,
);
const TYPES = [
  ['discard', VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_F_DISCARD],
  ['write zeroes', VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES],
  ['secure erase', VIRTIO_BLK_T_SECURE_ERASE, VIRTIO_BLK_F_SECURE_ERASE],
] as const;

/** A range as a driver sends it. */
interface Range {
  readonly sector: number;
  readonly sectors: number;
  readonly flags?: number;
}

/** A disk all of whose bytes are 0x5a, and requests that are sent as they are. */
class FullDisk {
  readonly backing = new SparseBacking(CAPACITY);
  readonly device: BlockDevice;
  readonly loop: DeviceLoop;

  constructor(options: Partial<BlockDeviceOptions> = {}, accepted: FeatureSet = ALL) {
    this.backing.write(0, new Uint8Array(CAPACITY).fill(0x5a), 0, CAPACITY);
    const limits = { maxSectors: 256, maxSegments: 4 };
    this.device = new BlockDevice(this.backing, {
      readOnly: false,
      serial: '',
      queues: 1,
      queueSize: 32,
      byteOrder: 'little',
      discard: limits,
      writeZeroes: limits,
      secureErase: limits,
      ...options,
    });
    this.loop = new DeviceLoop(this.device, accepted);
  }

  /** Sends ranges and `extra` bytes behind them; returns the status. */
  send(type: number, ranges: readonly Range[], extra = 0): number | undefined {
    const bytes = new DataView(new ArrayBuffer(16 + 16 * ranges.length + extra));
    bytes.setUint32(0, type, true);
    for (const [i, { sector, sectors, flags = 0 }] of ranges.entries()) {
      bytes.setBigUint64(16 + 16 * i, BigInt(sector), true);
      bytes.setUint32(16 + 16 * i + 8, sectors, true);
      bytes.setUint32(16 + 16 * i + 12, flags, true);
    }
    return this.loop.exchange(0, new Uint8Array(bytes.buffer), 1)?.at(0);
  }

  /** The sectors that are not 0x5a any more. */
  get changed(): number[] {
    const bytes = new Uint8Array(CAPACITY);
    this.backing.read(0, bytes, 0, CAPACITY);
    const sectors = Array.from({ length: CAPACITY / 512 }, (_, i) => i);
    return sectors.filter((i) => !bytes.subarray(512 * i, 512 * (i + 1)).every((byte) => byte === 0x5a));
  }
}

/** The whole numbers from `first` to `last`. */
function upTo(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

describe.each(TYPES)('a %s', (name, type, feature) => {
  it.each<[string, readonly Range[], number, number]>([
    ['no range', [], 0, VIRTIO_BLK_S_IOERR],
    ['half a range', [{ sector: 0, sectors: 1 }], 8, VIRTIO_BLK_S_IOERR],
    ['one byte too many', [{ sector: 0, sectors: 1 }], 1, VIRTIO_BLK_S_IOERR],
    ['more ranges than the device takes', upTo(0, 4).map((sector) => ({ sector, sectors: 1 })), 0, VIRTIO_BLK_S_UNSUPP],
    ['more sectors than the device takes', [{ sector: 0, sectors: 257 }], 0, VIRTIO_BLK_S_IOERR],
    ['a range that ends past the disk', [{ sector: CAPACITY / 512 - 1, sectors: 2 }], 0, VIRTIO_BLK_S_IOERR],
    ['a range behind the disk', [{ sector: CAPACITY / 512, sectors: 1 }], 0, VIRTIO_BLK_S_IOERR],
    ['a sector that no disk has', [{ sector: 2 ** 53, sectors: 1 }], 0, VIRTIO_BLK_S_IOERR],
    ['an unknown flag', [{ sector: 0, sectors: 1, flags: 2 }], 0, VIRTIO_BLK_S_UNSUPP],
    ['the highest flag', [{ sector: 0, sectors: 1, flags: 0x8000_0000 }], 0, VIRTIO_BLK_S_UNSUPP],
    [
      'an unknown flag of a range behind the disk',
      [{ sector: CAPACITY, sectors: 1, flags: 6 }],
      0,
      VIRTIO_BLK_S_UNSUPP,
    ],
    [
      'a range that is right, and one that is not',
      [
        { sector: 0, sectors: 8 },
        { sector: CAPACITY, sectors: 1 },
      ],
      0,
      VIRTIO_BLK_S_IOERR,
    ],
    ['no sectors', [{ sector: 0, sectors: 0 }], 0, VIRTIO_BLK_S_OK],
  ])('of %s changes nothing', (_, ranges, extra, status) => {
    const disk = new FullDisk();
    expect(disk.send(type, ranges, extra)).toBe(status);
    expect(disk.changed).toEqual([]);
    expect(disk.loop.end()).toEqual(NOTHING_LEFT);
  });

  it('with the flag UNMAP is right only where zeroes are written', () => {
    const disk = new FullDisk();
    const isRight = type === VIRTIO_BLK_T_WRITE_ZEROES;
    expect(disk.send(type, [{ sector: 3, sectors: 2, flags: 1 }])).toBe(
      isRight ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP,
    );
    expect(disk.changed).toEqual(isRight ? [3, 4] : []);
    disk.loop.end();
  });

  it('fails on a read-only disk, and is unsupported there too where a flag is unknown', () => {
    const disk = new FullDisk({ readOnly: true });
    expect(disk.send(type, [{ sector: 0, sectors: 256 }])).toBe(VIRTIO_BLK_S_IOERR);
    expect(disk.send(type, [{ sector: 0, sectors: 256, flags: 2 }])).toBe(VIRTIO_BLK_S_UNSUPP);
    expect(disk.changed).toEqual([]);
    disk.loop.end();
  });

  it('is unsupported where the feature was not negotiated, or not offered', () => {
    for (const disk of [
      new FullDisk({}, ALL.without(feature)),
      new FullDisk({ discard: false, writeZeroes: false, secureErase: false }),
    ]) {
      expect(disk.send(type, [{ sector: 0, sectors: 256 }])).toBe(VIRTIO_BLK_S_UNSUPP);
      expect(disk.changed).toEqual([]);
      disk.loop.end();
    }
  });

  it('is of whole blocks, for a driver that knows their size', () => {
    for (const [accepted, status] of [
      [ALL, VIRTIO_BLK_S_IOERR],
      [ALL.without(VIRTIO_BLK_F_BLK_SIZE), VIRTIO_BLK_S_OK],
    ] as const) {
      const disk = new FullDisk({ blockSize: 4096 }, accepted);
      expect(disk.send(type, [{ sector: 1, sectors: 8 }])).toBe(status);
      expect(disk.send(type, [{ sector: 8, sectors: 4 }])).toBe(status);
      expect(disk.send(type, [{ sector: 8, sectors: 8 }])).toBe(VIRTIO_BLK_S_OK);
      disk.loop.end();
    }
  });

  it('changes its ranges and nothing else, in any framing', () => {
    const disk = new FullDisk();
    const ranges = [
      { sector: 0, sectors: 1 },
      { sector: 100, sectors: 156 },
      { sector: 300, sectors: 3 },
    ];
    expect(disk.send(type, ranges)).toBe(VIRTIO_BLK_S_OK);
    // A discard gives up whole chunks of 128 sectors: one of them lies in the second range.
    const all = [0, ...upTo(100, 255), 300, 301, 302];
    expect(disk.changed).toEqual(type === VIRTIO_BLK_T_DISCARD ? upTo(128, 255) : all);
    disk.loop.end();
  });

  it('fails where its ranges cannot be read, and changes nothing', () => {
    const disk = new FullDisk();
    const at = disk.loop.memory.allocate(64);
    disk.loop.memory.u8.fill(0, at, at + 64);
    disk.loop.memory.u8[at] = type;
    const chain = hostileChain(
      [
        [at, 16],
        [2 ** 40, 16],
      ],
      [[at + 32, 1]],
    );
    expect(disk.device.process(0, chain, disk.loop.space, disk.loop)).toBe(1);
    expect([name, disk.loop.memory.u8[at + 32]]).toEqual([name, VIRTIO_BLK_S_IOERR]);
    expect(disk.changed).toEqual([]);
    disk.loop.end();
  });
});

describe('a disk with blocks of 4 KiB', () => {
  it.each<[string, number, number, number]>([
    ['a sector inside of a block', 1, 4096, VIRTIO_BLK_S_IOERR],
    ['half a block', 0, 2048, VIRTIO_BLK_S_IOERR],
    ['a block', 8, 4096, VIRTIO_BLK_S_OK],
    ['the last block', CAPACITY / 512 - 8, 4096, VIRTIO_BLK_S_OK],
    ['a block past the end', CAPACITY / 512, 4096, VIRTIO_BLK_S_IOERR],
  ])('reads and writes %s as the driver was told', (_, sector, length, status) => {
    const disk = new FullDisk({ blockSize: 4096 });
    const header = (type: number): number[] => [
      type,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      sector & 0xff,
      sector >> 8,
      0,
      0,
      0,
      0,
      0,
      0,
    ];
    const came = disk.loop.exchange(0, header(VIRTIO_BLK_T_IN), length + 1)!;
    expect(came.length === length + 1 ? came.at(-1) : VIRTIO_BLK_S_IOERR).toBe(status);
    const wrote = disk.loop.exchange(0, [...header(VIRTIO_BLK_T_OUT), ...Array<number>(length).fill(1)], 1);
    expect(wrote).toEqual([status]);
    disk.loop.end();
  });
});

describe('the lifetime', () => {
  const header = [VIRTIO_BLK_T_GET_LIFETIME, ...Array<number>(15).fill(0)];

  it.each([
    ['is what the settings say', ALL, 7, [2, 0, 5, 0, 11, 0, VIRTIO_BLK_S_OK]],
    ['has six bytes', ALL, 9, [2, 0, 5, 0, 11, 0]],
    ['does not fit five', ALL, 6, []],
    ['is unsupported without LIFETIME', ALL.without(VIRTIO_BLK_F_LIFETIME), 7, []],
  ] as const)('%s', (_, accepted, room, came) => {
    const disk = new FullDisk({ lifetime: { preEolInfo: 2, typA: 5, typB: 11 } }, accepted);
    expect(disk.loop.exchange(0, header, room)).toEqual(came);
    expect(disk.loop.end()).toEqual(NOTHING_LEFT);
  });
});
